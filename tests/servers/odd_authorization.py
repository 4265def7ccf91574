#!/usr/bin/env python3
"""MCP servers that want tokens, each with an authorization server of its own at the same address that answers oddly.

Usage: odd_authorization.py PORT OPTIONS...

Each of the OPTIONS is an object of JSON; the first is served at 127.0.0.1, the next one at 127.0.0.2, and so on:

token          members of the answer to a token request beside the usual ones; null takes one out
form           true: that answer is a form
kind, status   its content type, and its status
error          what is answered in place of a token, as JSON or text; with `errorStatus`
noResource     `always` or `refresh`: such requests are refused when they name a resource
resource       the resource that the metadata name; BASE is the address
metadata       members of the authorization server's metadata beside the usual ones
another        `issuer`: the first document of that kind is another's; `resource`: that of the first place is
refusal        the status of a request without a good token (401)

`GET /asked` gives the token requests so far.
"""
import json
import sys
import threading
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class World:
    def __init__(self, options):
        self.options, self.asked, self.good, self.lock = options, [], set(), threading.Lock()

    def token(self, form):
        options = self.options
        with self.lock:
            self.asked.append(form)
            number = len(self.asked)
        refused = options.get("noResource")
        if "resource" in form and (refused == "always" or refused == form["grant_type"].split("_")[0]):
            return 400, {"error": "invalid_request", "error_description": "unknown parameter: resource"}
        if "error" in options:
            return options.get("errorStatus", 400), options["error"]
        token = {"access_token": f"token-{number}", "token_type": "Bearer", "expires_in": 3600}
        if form["grant_type"] != "client_credentials":
            token["refresh_token"] = f"refresh-{number}"
        token |= options.get("token", {})
        self.good.add(token["access_token"])
        return options.get("status", 200), {name: value for name, value in token.items() if value is not None}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def respond(self):
        world, options = self.server.world, self.server.world.options
        base = "http://{}:{}".format(*self.server.server_address)
        length = int(self.headers.get("content-length") or 0)
        body = self.rfile.read(length) if length else b""
        url = urllib.parse.urlsplit(self.path)
        if url.path == "/asked":
            return self.send(200, world.asked)
        if url.path.startswith("/.well-known/oauth-protected-resource"):
            resource = options.get("resource", base + "/mcp").replace("BASE", base)
            if options.get("another") == "resource" and url.path.endswith("/first"):
                resource = base + "/other"
            elif options.get("another") == "resource" and not url.path.endswith("/mcp"):
                return self.send(404, {})
            return self.send(200, {"resource": resource, "authorization_servers": [base]})
        if url.path.startswith("/.well-known/"):
            metadata = {
                "issuer": base,
                "authorization_endpoint": base + "/authorize",
                "token_endpoint": base + "/token",
                "registration_endpoint": base + "/register",
                "code_challenge_methods_supported": ["S256"],
                "token_endpoint_auth_methods_supported": ["client_secret_post", "none"],
            } | options.get("metadata", {})
            if options.get("another") == "issuer" and "openid" not in url.path:
                metadata |= {"issuer": "https://another.test", "token_endpoint": base + "/nothing"}
            return self.send(200, metadata)
        if url.path == "/register":
            return self.send(201, json.loads(body) | {"client_id": "client"})
        if url.path == "/authorize":
            asked = dict(urllib.parse.parse_qsl(url.query))
            world.asked.append(asked)
            back = urllib.parse.urlencode({"code": "code", "state": asked["state"], "iss": base})
            return self.send(302, b"", [("Location", f"{asked['redirect_uri']}?{back}")])
        if url.path == "/token":
            status, answer = world.token(dict(urllib.parse.parse_qsl(body.decode())))
            if options.get("form"):
                answer = urllib.parse.urlencode(answer).encode()
            kind = "application/x-www-form-urlencoded" if options.get("form") else options.get("kind", "application/json")
            return self.send(status, answer, [("Content-Type", kind)])
        if url.path.rstrip("/") != "/mcp":
            return self.send(404, {})
        if self.headers.get("authorization", "").removeprefix("Bearer ") not in world.good:
            place = "/first" if options.get("another") == "resource" else ""
            metadata = f'{base}/.well-known/oauth-protected-resource{place}'
            challenge = [("WWW-Authenticate", f'Bearer resource_metadata="{metadata}"')]
            return self.send(options.get("refusal", 401), {}, challenge)
        if self.command != "POST":
            return self.send(405, {})
        message = json.loads(body)
        if "id" not in message:
            return self.send(202, b"")
        tool = {"name": "hello", "inputSchema": {"type": "object"}}
        results = {
            "initialize": {
                "protocolVersion": "2025-11-25",
                "capabilities": {"tools": {}},
                "serverInfo": {"name": "odd", "version": "1"},
            },
            "tools/list": {"tools": [tool]},
            "tools/call": {"content": [{"type": "text", "text": "hello"}]},
        }
        answer = {"jsonrpc": "2.0", "id": message["id"]}
        if message["method"] in results:
            return self.send(200, answer | {"result": results[message["method"]]})
        self.send(200, answer | {"error": {"code": -32601, "message": "no such method"}})

    do_GET = do_POST = do_DELETE = respond

    def send(self, status, body, headers=()):
        body = body if isinstance(body, bytes) else body.encode() if isinstance(body, str) else json.dumps(body).encode()
        self.send_response(status)
        if not any(name == "Content-Type" for name, _ in headers):
            self.send_header("Content-Type", "application/json")
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


port, worlds = int(sys.argv[1]), [World(json.loads(options)) for options in sys.argv[2:]]
servers = []
# The first address, which is waited for, opens last.
for number, world in reversed(list(enumerate(worlds, 1))):
    server = ThreadingHTTPServer((f"127.0.0.{number}", port), Handler)
    server.world = world
    servers.append(server)
for server in servers[:-1]:
    threading.Thread(target=server.serve_forever, daemon=True).start()
servers[-1].serve_forever()
