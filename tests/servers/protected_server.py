#!/usr/bin/env python3
"""An MCP server over streamable HTTP, built with the official Python SDK, that wants a token for itself with the
scope `read`, and asks the authorization server whether it is good. With --dpop it wants tokens that are bound to a
key, with a fresh proof for each request and a nonce of its own. Usage: protected_server.py PORT ISSUER [--dpop]"""
import base64
import hashlib
import json
import sys
import urllib.parse
import urllib.request

import anyio.to_thread
import jwt
import uvicorn
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


NONCE = "nonce-of-the-server"


def digest(data):
    return base64.urlsafe_b64encode(hashlib.sha256(data.encode()).digest()).rstrip(b"=").decode()


class Proven:
    """Lets through requests with a proof (RFC 9449, section 7), and passes their tokens on as bearers."""

    def __init__(self, app):
        self.app, self.seen = app, set()

    def fault(self, method, authorization, proof):
        if not authorization.startswith("DPoP ") or "," in proof:
            return "invalid_token"
        token = authorization[len("DPoP ") :]
        try:
            jwk = jwt.get_unverified_header(proof)["jwk"]
            claims = jwt.decode(proof, jwt.PyJWK(jwk, "ES256").key, algorithms=["ES256"], options={"verify_aud": False})
        except (jwt.PyJWTError, KeyError):
            return "invalid_dpop_proof"
        if claims.get("nonce") != NONCE:
            return "use_dpop_nonce"
        thumbprint = digest(json.dumps({name: jwk[name] for name in ("crv", "kty", "x", "y")}, separators=(",", ":")))
        bound = introspect(token).get("cnf", {}).get("jkt")
        said = (claims["htm"], claims["htu"], claims["ath"], bound)
        if said != (method, own, digest(token), thumbprint) or claims["jti"] in self.seen:
            return "invalid_dpop_proof"
        self.seen.add(claims["jti"])
        return None

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http" or scope["path"] != "/mcp":
            return await self.app(scope, receive, send)
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        given = (scope["method"], headers.get("authorization", ""), headers.get("dpop", ""))
        fault = await anyio.to_thread.run_sync(self.fault, *given)
        if fault is None:
            token = given[1][len("DPoP ") :]
            rest = [(name, value) for name, value in scope["headers"] if name != b"authorization"]
            return await self.app({**scope, "headers": [*rest, (b"authorization", f"Bearer {token}".encode())]}, receive, send)
        metadata = f"http://localhost:{port}/.well-known/oauth-protected-resource/mcp"
        challenge = f'DPoP error="{fault}", algs="ES256", resource_metadata="{metadata}"'
        headers = [(b"www-authenticate", challenge.encode()), (b"dpop-nonce", NONCE.encode())]
        await send({"type": "http.response.start", "status": 401, "headers": headers})
        await send({"type": "http.response.body", "body": b""})


if "--dpop" in sys.argv:
    uvicorn.run(Proven(server.streamable_http_app()), host="127.0.0.1", port=port, log_level="warning")
else:
    server.run("streamable-http", host="127.0.0.1", port=port)
