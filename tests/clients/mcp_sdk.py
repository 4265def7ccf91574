#!/usr/bin/env python3
"""The official Python SDK as a client of one MCP endpoint: lists, calls a tool, and prints what it got as JSON.

    mcp_sdk.py URL MODE TOOL ARGUMENTS [TOKEN]

MODE is `auto` (the SDK's own choice), `legacy` (sessions) or `2026-07-28`.
"""
import asyncio
import json
import sys

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client


async def main(url, mode, tool, arguments, token=None):
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with httpx2.AsyncClient(headers=headers) as http, Client(streamable_http_client(url, http_client=http), mode=mode) as client:
        tools = await client.list_tools()
        result = await client.call_tool(tool, json.loads(arguments))
        found = {
            "protocol": client.protocol_version,
            "tools": [tool.name for tool in tools.tools],
            "is_error": result.is_error,
            "text": [block.text for block in result.content if block.type == "text"],
        }
        print(json.dumps(found))


asyncio.run(main(*sys.argv[1:]))
