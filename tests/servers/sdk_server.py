#!/usr/bin/env python3
"""A streamable HTTP MCP server built with the official Python SDK. Usage: sdk_server.py PORT"""
import os
import sys

from mcp.server import MCPServer

server = MCPServer("sdk")


@server.tool()
def add(a: int, b: int) -> int:
    """Adds two whole numbers."""
    return a + b


@server.tool()
def pid() -> str:
    """The process that serves this call."""
    return str(os.getpid())


server.run("streamable-http", host="127.0.0.1", port=int(sys.argv[1]))
