#!/usr/bin/env python3
"""The official Python SDK as a client that an endpoint refuses: prints what it would show to a person.

    mcp_sdk_refused.py URL [TOKEN]
"""
import asyncio
import sys

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client


def causes(error):
    return [found for inner in getattr(error, "exceptions", []) for found in causes(inner)] or [error]


async def main(url, token=""):
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    try:
        async with httpx2.AsyncClient(headers=headers) as http, Client(streamable_http_client(url, http_client=http)):
            print("connected")
    except Exception as error:
        print("; ".join(str(cause) for cause in causes(error)))


asyncio.run(main(*sys.argv[1:]))
