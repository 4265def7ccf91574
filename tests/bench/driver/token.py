"""What a call with a token costs, against one with an API key: a token of the gateway's own authorization server, and a
JWT of an outside issuer."""

import base64
import hashlib
import http.client
import json
import re
import secrets
from functools import partial
from urllib.parse import parse_qs, urlencode, urlsplit

from . import paired, processes, programs
from .contenders import API_KEY, BEARER, NODE, ROOT, RUST

#: Microseconds of CPU that a token may cost the gateway more than a key.
MOST = 2
#: Nothing listens there: the code is read from the address that the browser is led to.
CALLBACK = "http://127.0.0.1:9/callback"
#: What the JWT is for; the issuer of the tests takes any that ends so.
AUDIENCE = "https://gateway.test/mcp"


def asked(port, method, path, body=None, headers=None):
    """Headers and body of one answer; `body` is a form, or JSON text."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=15)
    kind = "application/json" if isinstance(body, str) else "application/x-www-form-urlencoded"
    text = body if isinstance(body, str) else urlencode(body or {})
    connection.request(method, path, text, {"Content-Type": kind, **(headers or {})})
    answer = connection.getresponse()
    head, body = answer.headers, answer.read().decode()
    connection.close()
    if answer.status >= 400:
        raise programs.Failed(f"{method} {path.partition('?')[0]}: {answer.status} {body[:300]}")
    return head, body


def signed_in(port):
    """An access token that the API key was typed in for, as a client and a browser get it."""
    registration = json.dumps({"redirect_uris": [CALLBACK], "token_endpoint_auth_method": "none"})
    client = json.loads(asked(port, "POST", "/oauth/register", registration)[1])["client_id"]
    verifier = secrets.token_urlsafe(48)
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    query = urlencode({
        "response_type": "code", "client_id": client, "redirect_uri": CALLBACK, "state": "s",
        "code_challenge": challenge, "code_challenge_method": "S256",
    })  # fmt: skip
    head, page = asked(port, "GET", f"/oauth/authorize?{query}")
    form = {"request": re.search(r'name="request" value="([^"]*)"', page)[1], "key": API_KEY}
    cookie = head["Set-Cookie"].partition(";")[0]
    led_to = asked(port, "POST", "/oauth/authorize", form, {"Cookie": cookie})[0]["Location"]
    code = parse_qs(urlsplit(led_to).query)["code"][0]
    grant = {
        "grant_type": "authorization_code", "code": code, "client_id": client, "redirect_uri": CALLBACK,
        "code_verifier": verifier,
    }  # fmt: skip
    return json.loads(asked(port, "POST", "/oauth/token", grant)[1])["access_token"]


def jwt(issuer_port):
    """An access token of the tests' oidc-provider for one of its clients."""
    robot = base64.b64encode(b"robot:robot-secret").decode()
    grant = {"grant_type": "client_credentials", "resource": AUDIENCE, "scope": "read"}
    _, answer = asked(issuer_port, "POST", "/token", grant, {"Authorization": f"Basic {robot}"})
    return json.loads(answer)["access_token"]


def issuer(run):
    """The port of a started oidc-provider whose access tokens are JWTs."""
    port = processes.free_port()
    script = str(ROOT / "tests" / "servers" / "authorization_server.mjs")
    run.processes.start("issuer", [NODE.command[0], script, str(port), "--jwt"])
    processes.wait_for(lambda: processes.port_is_open(port), "oidc-provider")
    return port


def token(run):
    """CPU time of a small call with a token, less that of one with the key, at one gateway in the same round."""
    if run.gateway is None:
        return

    def row(sign_in, what, bearer_of):
        with run.gateway.start(run, {"bench": RUST.entry()}, more={"signIn": sign_in}) as gateway:
            url = gateway.url("bench", RUST.tool)

            def side(label, bearer):
                load = partial(programs.load, url, RUST.arguments, RUST.expect, 32, run.seconds, bearer=bearer)
                return label, gateway.pid, load

            with_token = side("with a token", f"Bearer {bearer_of(gateway)}")
            return paired.row(run, f"with {what}, against one with a key", MOST, with_token, side("with a key", BEARER))

    yield row({"apiKeys": True}, "a token of its own", lambda gateway: signed_in(gateway.port))
    port = issuer(run)
    of_issuer = {"issuer": f"http://localhost:{port}", "audience": AUDIENCE, "users": [{}]}
    yield row({"issuers": [of_issuer]}, "a JWT of an issuer", lambda _: jwt(port))
