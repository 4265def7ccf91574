#!/usr/bin/env python3
"""Stands in for a server of the site: an MCP server of the official Python SDK behind a check of the token.

    stand_in.py NAME [NAME...] [--port N] [--token-file FILE] [--certificate FILE --key FILE] [--seen FOLDER]
    stand_in.py neo4j --port N

The tools of public servers have their public names; those of the private ones (athena, rommie, caliban, korax) are
invented. Every tool tells its name and its arguments back. With several names the server is chosen by the Host
header, as behind one address of the internet. FOLDER gets a file NAME with each distinct Authorization header that
came with a request to that server, one in a line, `-` for none.

`neo4j` is no MCP server: it takes the opening of a Bolt connection, which the two servers over it make in each call.
"""
import argparse
import asyncio
import contextlib
import socket
import socketserver
import sys
from pathlib import Path

# What a server is reached as, its path, and its tools.
STAND_INS = {
    "neo4j-cypher": ("/mcp", ["get_neo4j_schema", "read_neo4j_cypher", "write_neo4j_cypher"]),
    "neo4j-memory": ("/mcp", ["read_graph", "create_entities", "add_observations", "find_memories_by_name"]),
    "grafana": ("/mcp", ["search_dashboards", "list_datasources", "query_prometheus", "query_loki_logs"]),
    "gitea": ("/mcp", ["get_my_user_info", "list_my_repos", "search_repos"]),
    "argos-searxng": ("/mcp", ["searxng_web_search", "web_url_read"]),
    "github": ("/mcp/", ["get_me", "search_repositories", "get_file_contents", "list_issues"]),
    "huggingface": ("/mcp", ["hf_whoami", "model_search", "dataset_search", "paper_search"]),
    "athena": ("/mcp", ["ask", "remember", "ponder"]),
    "rommie": ("/mcp", ["say", "status"]),
    "caliban": ("/mcp", ["screenshot", "click", "type_text"]),
    "korax": ("/mcp", ["ask"]),
}
HOSTS = {"api.githubcopilot.com": "github", "huggingface.co": "huggingface"}
OVER_NEO4J = ("neo4j-cypher", "neo4j-memory")
DATABASE = ("ariel.incus", 7687)
# Bolt's opening: its magic number and four proposals of a version, of which the server picks one.
BOLT = bytes.fromhex("6060b017") + bytes.fromhex("00000405") + bytes(12)


def application(name):
    """The SDK's own server, as an ASGI application."""
    try:
        from mcp.server import MCPServer
    except ImportError:  # The SDK's older name.
        from mcp.server.fastmcp import FastMCP as MCPServer
    from mcp.server.transport_security import TransportSecuritySettings

    path, tools = STAND_INS[name]
    # It is reached under the names of the site.
    security = TransportSecuritySettings(enable_dns_rebinding_protection=False)
    server = MCPServer(name)
    for tool in tools:
        server.add_tool(telling(name, tool), name=tool, description=f"Stand-in for the tool {tool} of {name}.")
    try:
        return server.streamable_http_app(streamable_http_path=path, transport_security=security)
    except TypeError:  # The older SDK takes both with its settings.
        server.settings.streamable_http_path = path
        server.settings.transport_security = security
        return server.streamable_http_app()


def telling(server, tool):
    async def tell(text: str = "", seconds: float = 0) -> str:
        if server in OVER_NEO4J:
            await asyncio.to_thread(open_bolt)
        await asyncio.sleep(seconds)
        return f"{server} {tool} {text}".rstrip()

    return tell


def open_bolt():
    try:
        with socket.create_connection(DATABASE, timeout=5) as connection:
            connection.sendall(BOLT)
            version = connection.recv(4)
    except OSError as error:
        raise tool_error()(f"Neo4j at {DATABASE[0]}:{DATABASE[1]} cannot be reached: {error}") from error
    if version != BOLT[4:8]:
        raise tool_error()(f"Neo4j at {DATABASE[0]}:{DATABASE[1]} speaks no Bolt")


def tool_error():
    """The SDK's error whose text callers are told."""
    try:
        from mcp.server.mcpserver.exceptions import ToolError
    except ImportError:  # The SDK's older name.
        from mcp.server.fastmcp.exceptions import ToolError
    return ToolError


class Door:
    """Chooses the server, writes down what came, and turns away who lacks its token."""

    def __init__(self, names, tokens, seen):
        self.applications = {name: application(name) for name in names}
        self.tokens, self.seen = tokens, seen
        self.known = {name: set() for name in names}

    async def __call__(self, scope, receive, send):
        if scope["type"] == "lifespan":
            return await self.lifespan(receive, send)
        headers = dict(scope["headers"])
        names = list(self.applications)
        name = names[0] if len(names) == 1 else HOSTS.get(headers.get(b"host", b"").decode().split(":")[0])
        if name is None:
            return await answer(send, 421)
        authorization = headers.get(b"authorization", b"-").decode()
        self.write_down(name, authorization)
        if name in self.tokens and authorization != f"Bearer {self.tokens[name]}":
            return await answer(send, 401, [(b"www-authenticate", b"Bearer")])
        await self.applications[name](scope, receive, send)

    def write_down(self, name, authorization):
        if self.seen and authorization not in self.known[name]:
            self.known[name].add(authorization)
            with open(self.seen / name, "a") as file:
                file.write(f"{authorization}\n")

    async def lifespan(self, receive, send):
        """Runs what each of the applications needs for as long as this one lives."""
        async with contextlib.AsyncExitStack() as stack:
            await receive()
            for one in self.applications.values():
                await stack.enter_async_context(one.router.lifespan_context(one))
            await send({"type": "lifespan.startup.complete"})
            await receive()
        await send({"type": "lifespan.shutdown.complete"})


async def answer(send, status, headers=()):
    await send({"type": "http.response.start", "status": status, "headers": [*headers, (b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})


class Bolt(socketserver.BaseRequestHandler):
    def handle(self):
        if self.request.recv(len(BOLT), socket.MSG_WAITALL)[:4] == BOLT[:4]:
            self.request.sendall(BOLT[4:8])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="+", choices=[*STAND_INS, "neo4j"])
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--token-file", action="append", default=[], metavar="NAME=FILE")
    parser.add_argument("--certificate")
    parser.add_argument("--key")
    parser.add_argument("--seen", type=Path)
    options = parser.parse_args()
    if options.names == ["neo4j"]:
        socketserver.ThreadingTCPServer.allow_reuse_address = True
        return socketserver.ThreadingTCPServer(("0.0.0.0", options.port), Bolt).serve_forever()
    import uvicorn

    files = dict(pair.split("=", 1) for pair in options.token_file)
    tokens = {name: Path(file).read_text().strip() for name, file in files.items()}
    uvicorn.run(
        Door(options.names, tokens, options.seen), host="0.0.0.0", port=options.port, log_level="warning",
        ssl_certfile=options.certificate, ssl_keyfile=options.key, timeout_graceful_shutdown=1,
    )


if __name__ == "__main__":
    sys.exit(main())
