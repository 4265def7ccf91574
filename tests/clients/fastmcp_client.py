#!/usr/bin/env python3
"""fastmcp's client: what `mcp_sdk.py` does.

    fastmcp_client.py URL MODE TOOL ARGUMENTS [TOKEN]
"""
import asyncio
import json
import sys

from fastmcp import Client


async def main(url, mode, tool, arguments, token=None):
    async with Client(url, mode=mode, auth=token) as client:
        tools = await client.list_tools()
        result = await client.call_tool(tool, json.loads(arguments), raise_on_error=False)
        found = {
            "protocol": client.protocol_version,
            "tools": [tool.name for tool in tools],
            "is_error": result.is_error,
            "text": [block.text for block in result.content if block.type == "text"],
        }
        print(json.dumps(found))


asyncio.run(main(*sys.argv[1:]))
