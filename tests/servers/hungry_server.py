#!/usr/bin/env python3
"""A stdio MCP server that takes as much memory and as many processes as it is told; standard library only.

    hungry_server.py [--eat MEGABYTES]

--eat N   takes so much before it reads a message
"""
import json
import os
import signal
import sys

TOOLS = [
    {"name": name, "description": name, "inputSchema": {"type": "object", "properties": properties}}
    for name, properties in [("eat", {"megabytes": {"type": "integer"}}), ("fork", {}), ("pid", {})]
]
eaten = []


def eat(megabytes):
    """Takes memory and keeps it. Every page is written, since the kernel gives none before."""
    for _ in range(megabytes):
        eaten.append(b"\1" * (1 << 20))
    return f"ate {megabytes} MB"


def fork():
    """Starts processes that do nothing until one is refused."""
    started = 0
    while True:
        try:
            child = os.fork()
        except BlockingIOError as error:
            return f"started {started}, then: {error.strerror}"
        if child == 0:
            signal.pause()
        started += 1


def answer(method, params):
    if method == "initialize":
        return {
            "protocolVersion": params["protocolVersion"], "capabilities": {"tools": {}},
            "serverInfo": {"name": "hungry", "version": "1"},
        }
    if method == "tools/list":
        return {"tools": TOOLS}
    if method == "ping":
        return {}
    if method == "tools/call":
        calls = {"eat": eat, "fork": fork, "pid": lambda: str(os.getpid())}
        text = calls[params["name"]](**params.get("arguments") or {})
        return {"content": [{"type": "text", "text": text}]}
    return None


if sys.argv[1:2] == ["--eat"]:
    eat(int(sys.argv[2]))
for line in sys.stdin:
    message = json.loads(line)
    if "id" not in message:
        continue
    result = answer(message["method"], message.get("params") or {})
    outcome = {"error": {"code": -32601, "message": "no such method"}} if result is None else {"result": result}
    print(json.dumps({"jsonrpc": "2.0", "id": message["id"], **outcome}), flush=True)
