#!/usr/bin/env python3
"""The official Python SDK 1.x, which knows sessions only, as a client: what `mcp_sdk.py` does.

    mcp_sdk_1.py URL legacy TOOL ARGUMENTS [TOKEN]
"""
import asyncio
import json
import sys

from mcp import ClientSession
from mcp.client.streamable_http import streamablehttp_client


async def main(url, _mode, tool, arguments, token=None):
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with streamablehttp_client(url, headers=headers) as (read, write, _), ClientSession(read, write) as session:
        introduction = await session.initialize()
        tools = await session.list_tools()
        result = await session.call_tool(tool, json.loads(arguments))
        found = {
            "protocol": introduction.protocolVersion,
            "tools": [tool.name for tool in tools.tools],
            "is_error": result.isError,
            "text": [block.text for block in result.content if block.type == "text"],
        }
        print(json.dumps(found))


asyncio.run(main(*sys.argv[1:]))
