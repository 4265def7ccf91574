#!/usr/bin/env python3
"""The official Python SDK as a client that knows nothing but the address of an MCP endpoint: it is led to an
authorization server, registers itself, signs in as a user (at the gateway's own page: with an API key), and calls a tool
for each line of its input.

    mcp_sdk_oauth.py URL TOOL ARGUMENTS USER

For each call it prints what it got as JSON, with the number of sign-ins and of renewed tokens so far. When the gateway's
page takes the key no more, it prints that, and ends.
"""
import asyncio
import json
import os
import re
import sys
from http.cookiejar import CookieJar
from urllib.parse import parse_qs, urljoin, urlparse

import httpx2
from mcp import Client
from mcp.client.auth import OAuthClientProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import AuthorizationCodeResult, OAuthClientMetadata

CALLBACK = "http://localhost:1/callback"


class Storage:
    tokens = client = None
    renewals = -1

    async def get_tokens(self):
        return self.tokens

    async def set_tokens(self, tokens):
        self.tokens = tokens
        self.renewals += 1

    async def get_client_info(self):
        return self.client

    async def set_client_info(self, client):
        self.client = client


class Person:
    """Signs in at the pages of the authorization server, as a person with a browser would."""

    def __init__(self, user):
        self.user = user
        self.sign_ins = 0
        self.result = None

    async def open(self, url):
        self.sign_ins += 1
        async with httpx2.AsyncClient(cookies=CookieJar()) as browser:
            for _ in range(12):
                if url.startswith(CALLBACK):
                    query = {name: values[0] for name, values in parse_qs(urlparse(url).query).items()}
                    self.result = AuthorizationCodeResult(code=query["code"], state=query.get("state"), iss=query.get("iss"))
                    return
                answer = await browser.get(url)
                if answer.status_code == 200 and 'name="key"' in answer.text:  # the gateway's own page
                    form = {"request": re.search('name="request" value="([^"]*)"', answer.text)[1], "key": self.user}
                    url = urljoin(url, "authorize")
                    answer = await browser.post(url, data=form)
                    if answer.status_code == 403:
                        print(json.dumps({"sign_ins": self.sign_ins, "refused": answer.status_code}), flush=True)
                        os._exit(0)
                elif answer.status_code == 200:
                    login = 'name="login"' in answer.text
                    form = {"prompt": "login", "login": self.user, "password": "any"} if login else {"prompt": "consent"}
                    answer = await browser.post(url, data=form)
                url = urljoin(url, answer.headers["location"])
        raise RuntimeError(f"the sign-in did not end: {url}")

    async def came_back(self):
        return self.result


async def main(url, tool, arguments, user):
    person = Person(user)
    metadata = OAuthClientMetadata(redirect_uris=[CALLBACK], client_name="test", grant_types=["authorization_code", "refresh_token"])
    storage = Storage()
    provider = OAuthClientProvider(url, metadata, storage, person.open, person.came_back)
    lines = asyncio.Queue()
    asyncio.get_running_loop().add_reader(sys.stdin, lambda: lines.put_nowait(sys.stdin.readline()))
    async with httpx2.AsyncClient(auth=provider) as http, Client(streamable_http_client(url, http_client=http), mode="legacy") as client:
        tools = await client.list_tools()
        while await lines.get():
            result = await client.call_tool(tool, json.loads(arguments))
            text = [block.text for block in result.content if block.type == "text"]
            found = {"sign_ins": person.sign_ins, "renewals": storage.renewals, "tools": [each.name for each in tools.tools], "text": text}
            print(json.dumps(found), flush=True)


asyncio.run(main(*sys.argv[1:]))
