#!/usr/bin/env python3
"""An MCP server over streamable HTTP, built with the official Python SDK, that wants a token for itself with the
scope `read`, and asks the authorization server whether it is good. Usage: protected_server.py PORT ISSUER"""
import base64
import json
import sys
import urllib.parse
import urllib.request

import anyio.to_thread
from mcp.server import MCPServer
from mcp.server.auth.middleware.auth_context import get_access_token
from mcp.server.auth.provider import AccessToken
from mcp.server.auth.settings import AuthSettings

port, issuer = int(sys.argv[1]), sys.argv[2]
own = f"http://localhost:{port}/mcp"
credentials = base64.b64encode(b"resource:resource-secret").decode()


def introspect(token):
    form = urllib.parse.urlencode({"token": token}).encode()
    request = urllib.request.Request(f"{issuer}/token/introspection", form)
    request.add_header("Authorization", f"Basic {credentials}")
    with urllib.request.urlopen(request, timeout=10) as response:
        return json.load(response)


class Verifier:
    async def verify_token(self, token):
        told = await anyio.to_thread.run_sync(introspect, token)
        audience = told.get("aud")
        if not told.get("active") or own not in (audience if isinstance(audience, list) else [audience]):
            return None
        return AccessToken(
            token=token,
            client_id=told["client_id"],
            scopes=told.get("scope", "").split(),
            expires_at=told.get("exp"),
            resource=own,
            subject=told.get("sub"),
        )


server = MCPServer(
    "protected",
    token_verifier=Verifier(),
    auth=AuthSettings(
        issuer_url=issuer, resource_server_url=own, required_scopes=["read"], validate_token_resource=True
    ),
)


@server.tool()
def who() -> str:
    """Says as whom the gateway is signed in."""
    token = get_access_token()
    return json.dumps({"subject": token.subject, "client": token.client_id, "scopes": token.scopes})


server.run("streamable-http", host="127.0.0.1", port=port)
