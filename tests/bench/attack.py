#!/usr/bin/env python3
"""What one caller with a key can do to others: every costly request that is known, at once, for some seconds.

    tests/bench/attack.py PORT KEY SECONDS

The gateway on 127.0.0.1:PORT serves `schemas` and `lists` (tests/servers/hostile_server.py). Prints one JSON object: how
often each kind was tried, and the statuses that came back. Bounded in time and in the number of connections.
"""

import collections
import http.client
import json
import socket
import sys
import threading
import time

PORT, KEY, SECONDS = int(sys.argv[1]), sys.argv[2], float(sys.argv[3])
END = time.monotonic() + SECONDS
HEADERS = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
#: A client gives up a call after this many seconds.
PATIENCE = 5
counts = collections.defaultdict(collections.Counter)


def post(kind, path, body, headers=()):
    """One request on a connection of its own; what comes back is counted."""
    connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=PATIENCE)
    try:
        connection.request("POST", path, body, {**HEADERS, **dict(headers)})
        answer = connection.getresponse()
        answer.read()
        counts[kind][answer.status] += 1
        return answer.headers
    except TimeoutError:
        counts[kind]["gave up"] += 1
    except (OSError, http.client.HTTPException):
        counts[kind]["broken off"] += 1
    finally:
        connection.close()
    return {}


def nested(depth):
    value = {}
    for _ in range(depth):
        value = {"a": value}
    return value


def opened(path, body_length, headers=""):
    """A raw connection that has sent the head of a request, and takes in little of what comes."""
    client = socket.create_connection(("127.0.0.1", PORT), PATIENCE)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {KEY}\r\n"
    head += f"Content-Type: application/json\r\n{headers}Content-Length: {body_length}\r\n\r\n"
    client.sendall(head.encode())
    return client


def schema_of_costly_tools():
    patterns = json.dumps({f"zz{i}": 1 for i in range(5000)})
    members = json.dumps({"x": [{"k": -1}] * 6000})
    for tool, body in (
        ("default", "{}"),
        ("recursive", json.dumps({"x": nested(60)})),
        ("keys", patterns),
        ("enum", members),
        ("patterns", "{}"),
    ):
        post(f"schema: {tool}", f"/schemas/{tool}", body)


def large_arguments():
    for filler in ("[],", '{"":0},', "1,"):
        body = '{"x":[' + filler * (9_900_000 // len(filler)) + "0]}"
        post("10 MB of arguments", "/schemas/any", body)


def unknown_names():
    calls = [
        {"id": f"c{i}", "type": "function", "function": {"name": f"{i:05}" + "some_rather_unusual_tool_names" * 4, "arguments": "{}"}}
        for i in range(128)
    ]  # fmt: skip
    post("128 unknown names", "/v1/tools/call", json.dumps({"tool_calls": calls}))


def unread_results():
    body = json.dumps({"bytes": 32 << 20}).encode()
    clients = [opened("/schemas/big", len(body)) for _ in range(4)]
    for client in clients:
        client.sendall(body)
        counts["unread result"]["sent"] += 1
    wait(3)
    for client in clients:
        client.close()


ACCEPT = {"Accept": "application/json, text/event-stream"}


def new_session():
    hello = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "attack", "version": "1"}}
    first = json.dumps({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": hello})
    return post("session", "/schemas/mcp", first, ACCEPT).get("Mcp-Session-Id")


def large_messages():
    session = new_session()
    if session is None:
        return wait(0.1)
    call = '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"any","arguments":{"x":['
    body = call + "[]," * 3_300_000 + '0]},"_meta":{"progressToken":1}}}'
    post("10 MB message", "/schemas/mcp", body, {**ACCEPT, "Mcp-Session-Id": session})


def unread_progress():
    session = new_session()
    if session is None:
        return
    call = {"name": "chatty", "arguments": {"count": 100, "bytes": 900_000}, "_meta": {"progressToken": 1}}
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call}).encode()
    headers = f"Accept: application/json, text/event-stream\r\nMcp-Session-Id: {session}\r\n"
    client = opened("/schemas/mcp", len(body), headers)
    client.sendall(body)
    counts["unread progress"]["sent"] += 1
    wait(3)
    client.close()


def slow_bodies():
    clients = [opened("/schemas/any", 10_000_000) for _ in range(8)]
    try:
        for client in clients:
            client.sendall(b'{"x":"' + b"x" * 100_000)
        for _ in range(20):
            for client in clients:
                client.sendall(b"x" * 200)
            wait(0.1)
        counts["slow body"]["sent"] += len(clients)
    except OSError:
        counts["slow body"]["broken off"] += 1
    for client in clients:
        client.close()


def wait(seconds):
    time.sleep(max(0, min(seconds, END - time.monotonic())))


def again_and_again(what):
    while time.monotonic() < END:
        try:
            what()
        except OSError:
            # The gateway defends itself; the next try shows whether it still can.
            counts[what.__name__]["broken off"] += 1
            wait(0.05)


post("lists that change", "/lists/some_rather_usual_tool_name_00000", json.dumps({"seconds": int(SECONDS)}))
threads = [
    threading.Thread(target=again_and_again, args=(what,))
    for what, times in (
        (schema_of_costly_tools, 4),
        (large_arguments, 6),
        (large_messages, 2),
        (unknown_names, 2),
        (unread_results, 1),
        (unread_progress, 2),
        (slow_bodies, 1),
    )
    for _ in range(times)
]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join(SECONDS + 4 * PATIENCE)
print(json.dumps(counts))
