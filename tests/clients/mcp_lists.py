#!/usr/bin/env python3
"""The official Python SDK reads every list of an endpoint: what `mcp_lists.mjs` does.

    mcp_lists.py URL MODE

MODE is `first` (the SDK 1.x), `legacy` (sessions) or `2026-07-28`.
"""
import asyncio
import json
import sys


async def names_of(lists, member):
    try:
        listed = await lists()
        return [each.name for each in getattr(listed, member)]
    except Exception as error:
        return repr(error)[:2000]


async def lists_of(client, templates):
    return {
        "tools": await names_of(client.list_tools, "tools"),
        "prompts": await names_of(client.list_prompts, "prompts"),
        "resources": await names_of(client.list_resources, "resources"),
        "resourceTemplates": await names_of(client.list_resource_templates, templates),
    }


async def main(url, mode):
    if mode == "first":
        from mcp import ClientSession
        from mcp.client.streamable_http import streamablehttp_client

        async with streamablehttp_client(url) as (read, write, _), ClientSession(read, write) as session:
            await session.initialize()
            found = await lists_of(session, "resourceTemplates")
    else:
        from mcp import Client

        async with Client(url, mode=mode) as client:
            found = await lists_of(client, "resource_templates")
    print(json.dumps(found))


asyncio.run(main(*sys.argv[1:]))
