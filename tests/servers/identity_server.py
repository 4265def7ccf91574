#!/usr/bin/env python3
"""An MCP server of the official Python SDK that tells for whom it believes to be called.

Usage: identity_server.py PORT streamable-http|sse

`whoami` answers with the session and the headers of its own request, `wait` after a while; the prompt `whoami` and the
resources `whoami://NAME` tell the header `X-User` of theirs.
`GET /seen` lists every request so far, whatever it was: method, session and headers; a cancelled `wait` too.
Requests with `X-User: refused` get 401; those with `X-User: slow` are held for a second before `initialize`.
"""
import asyncio, json, sys
from urllib.parse import parse_qs

import uvicorn
from mcp.server import MCPServer
from mcp.server.mcpserver import Context

server = MCPServer("identity")
seen = []


def session_of(headers, query):
    return headers.get("mcp-session-id") or query.get("session_id", [None])[0]


def tell(ctx: Context) -> dict:
    request = ctx.request_context.request
    headers = dict(request.headers)
    return {"session": session_of(headers, parse_qs(request.url.query)), "headers": headers}


@server.tool()
async def whoami(ctx: Context) -> dict:
    """Headers and session of this call."""
    return tell(ctx)


@server.tool()
async def wait(seconds: float, ctx: Context) -> dict:
    """The same after a while."""
    try:
        await asyncio.sleep(seconds)
    except asyncio.CancelledError:
        seen.append({"method": "cancelled", "headers": {}, "session": tell(ctx)["session"]})
        raise
    return tell(ctx)


@server.prompt("whoami")
def prompt(ctx: Context) -> str:
    """The user of this request."""
    return f"I am {tell(ctx)['headers'].get('x-user')}"


@server.resource("whoami://{of}")
def resource(of: str, ctx: Context) -> str:
    """The same."""
    return f"{of} is {tell(ctx)['headers'].get('x-user')}"


class Recorder:
    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        if scope["path"] == "/seen":
            return await answer(send, 200, json.dumps(seen).encode())
        headers = {}
        for name, value in scope["headers"]:
            name = name.decode()
            headers[name] = headers[name] + ", " + value.decode("latin-1") if name in headers else value.decode("latin-1")
        record = {"method": scope["method"], "headers": headers, "session": session_of(headers, parse_qs(scope["query_string"].decode()))}
        seen.append(record)
        if headers.get("x-user") == "refused":
            return await answer(send, 401, b"{}")
        if headers.get("x-user") == "slow" and record["session"] is None:
            await asyncio.sleep(1)

        async def watch(message):
            # The answer to `initialize` is what names a session.
            for name, value in message.get("headers") or []:
                if name == b"mcp-session-id":
                    record["session"] = value.decode()
            await send(message)

        await self.app(scope, receive, watch)


async def answer(send, status, body):
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]})
    await send({"type": "http.response.body", "body": body})


port, transport = int(sys.argv[1]), sys.argv[2]
app = server.sse_app() if transport == "sse" else server.streamable_http_app()
uvicorn.run(Recorder(app), host="127.0.0.1", port=port, log_level="error")
