#!/usr/bin/env python3
"""A client whose connection outlives the gateway: lists and calls, waits for a line on standard input, and does so again.

    outlives.py CLIENT URL TOOL ARGUMENTS TOKEN

CLIENT is `sdk` (the official SDK 1.x) or `fastmcp` (in the era of sessions). Each time it prints one line of JSON: the id of
the session, the tools, and the text of the call or the error.
"""
import asyncio
import contextlib
import json
import sys


@contextlib.asynccontextmanager
async def sdk(url, token):
    from mcp import ClientSession
    from mcp.client.streamable_http import streamablehttp_client

    headers = {"Authorization": f"Bearer {token}"}
    async with streamablehttp_client(url, headers=headers) as (read, write, session_id), ClientSession(read, write) as session:
        await session.initialize()

        async def use(tool, arguments):
            tools = (await session.list_tools()).tools
            return tools, (await session.call_tool(tool, arguments)).content

        yield use, session_id


@contextlib.asynccontextmanager
async def fastmcp(url, token):
    from fastmcp import Client

    async with Client(url, mode="legacy", auth=token) as client:

        async def use(tool, arguments):
            tools = await client.list_tools()
            return tools, (await client.call_tool(tool, arguments)).content

        yield use, client.transport.get_session_id


async def main(kind, url, tool, arguments, token):
    async with {"sdk": sdk, "fastmcp": fastmcp}[kind](url, token) as (use, session_id):
        while True:
            try:
                tools, content = await use(tool, json.loads(arguments))
                found = {"tools": [tool.name for tool in tools], "text": content[0].text}
            except Exception as error:  # noqa: BLE001: whatever it is, it is what the program gets
                found = {"error": str(error)}
            print(json.dumps({"session": session_id(), **found}), flush=True)
            if not await asyncio.to_thread(sys.stdin.readline):
                return


asyncio.run(main(*sys.argv[1:]))
