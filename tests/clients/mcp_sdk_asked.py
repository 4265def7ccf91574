#!/usr/bin/env python3
"""The official Python SDK as a client that is asked: calls tools of server-everything that ask back, and prints their texts.

    mcp_sdk_asked.py URL MODE NAME [TOKEN]

MODE is `legacy` (sessions) or `2026-07-28`; NAME is what it answers with, so that two clients can be told apart.
"""
import asyncio
import json
import sys

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.types import CreateMessageResult, ElicitResult, ListRootsResult, Root, TextContent


async def main(url, mode, name, token=None):
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    questions = []

    async def elicit(_context, params):
        questions.append(params.message)
        return ElicitResult(action="accept", content={"name": name, "check": True})

    async def sample(_context, params):
        questions.append(params.messages[0].content.text)
        return CreateMessageResult(role="assistant", content=TextContent(type="text", text=f"{name} thinks"), model="none")

    async def roots(_context):
        return ListRootsResult(roots=[Root(uri=f"file:///home/{name}", name=name)])

    callbacks = {"elicitation_callback": elicit, "sampling_callback": sample, "list_roots_callback": roots}
    async with httpx2.AsyncClient(headers=headers) as http, Client(
        streamable_http_client(url, http_client=http), mode=mode, **callbacks
    ) as client:
        found = {"protocol": client.protocol_version}
        calls = {
            "trigger-elicitation-request": {},
            "trigger-sampling-request": {"prompt": f"a question of {name}", "maxTokens": 5},
            "get-roots-list": {},
        }
        for tool, arguments in calls.items():
            result = await client.call_tool(tool, arguments)
            found[tool] = " ".join(block.text for block in result.content)
        found["tools"] = [tool.name for tool in (await client.list_tools()).tools]
        print(json.dumps({**found, "questions": questions}))


asyncio.run(main(*sys.argv[1:]))
