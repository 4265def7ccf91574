#!/usr/bin/env python3
"""The official Python SDK 1.x as a client that is told: it follows a resource, sets a level of the log, and prints what comes.

    mcp_sdk_follows.py URL RESOURCE TOOL

Each notification is one line of JSON. The first line says that the session is open; each line on standard input calls TOOL.
"""
import asyncio
import json
import sys

from mcp import ClientSession, types
from mcp.client.streamable_http import streamablehttp_client
from pydantic import AnyUrl


def told(message):
    print(json.dumps(message), flush=True)


async def heard(message):
    if isinstance(message, types.ServerNotification):
        told(message.model_dump(mode="json", by_alias=True, exclude_none=True))


async def main(url, resource, tool):
    async with streamablehttp_client(url) as (read, write, _), ClientSession(read, write, message_handler=heard) as session:
        await session.initialize()
        await session.subscribe_resource(AnyUrl(resource))
        await session.set_logging_level("debug")
        told({"method": "initialized"})
        while await asyncio.to_thread(sys.stdin.readline):
            await session.call_tool(tool, {"message": "said"})


asyncio.run(main(*sys.argv[1:]))
