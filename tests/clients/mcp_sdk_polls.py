#!/usr/bin/env python3
"""The official Python SDK as a client whose answer's stream is closed early: calls a tool with progress, and prints its text.

    mcp_sdk_polls.py URL TOOL

What the SDK logs of coming back goes to standard error.
"""
import asyncio
import logging
import sys

from mcp import Client
from mcp.client.streamable_http import streamable_http_client

logging.basicConfig(level=logging.INFO)


async def main(url, tool):
    async def progress(*_):
        pass

    async with Client(streamable_http_client(url), mode="legacy") as client:
        result = await client.call_tool(tool, {}, progress_callback=progress)
        print(" ".join(block.text for block in result.content))


asyncio.run(main(*sys.argv[1:]))
