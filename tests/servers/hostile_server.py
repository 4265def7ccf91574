#!/usr/bin/env python3
"""A stdio MCP server that is valid and costly: what it sends takes far more to work on than to send. Standard library
only.

Usage: hostile_server.py schemas | lists

schemas  tools whose schemas are costly to compile, to check arguments against, or to explain; `big` answers with so
         many bytes, `chatty` sends so many progress messages of so many bytes before it answers
lists    ten thousand tools; for so many seconds after a call of one it says every second that they have changed, and
         every other time its list is a page of five million entries that are no tools
"""
import json, sys, threading, time

KIND = sys.argv[1]
TOOLS = 10_000
NO_TOOLS = 5_000_000
guard = threading.Lock()


def say(*parts):
    with guard:
        for part in parts:
            sys.stdout.buffer.write(part)
        sys.stdout.buffer.write(b"\n")
        sys.stdout.buffer.flush()


def send(**message):
    say(json.dumps({"jsonrpc": "2.0", **message}).encode())


def nested(depth):
    value = {}
    for _ in range(depth):
        value = {"a": value}
    return value


def tree(branch):
    """A schema that leads back into itself twice at every level of its arguments."""
    twice = {"anyOf": [{**branch, "minProperties": 5}, {**branch, "minProperties": 6}]}
    return {"type": "object", "properties": {"x": {"$ref": "#/$defs/n"}}, "$defs": {"n": twice}}


def schemas():
    child = {"properties": {"a": {"$ref": "#/$defs/n"}}}
    with_default = tree(child)
    with_default["properties"]["x"] = {"$ref": "#/$defs/n", "default": nested(60)}
    number = {"type": "integer"}
    return {
        "default": with_default,
        "recursive": tree(child),
        "keys": {"type": "object", "patternProperties": {f"^(k{i}|j{i})+$": {} for i in range(3000)}, "additionalProperties": False},
        "enum": {"type": "object", "properties": {"x": {"type": "array", "items": {"enum": [{"k": i} for i in range(20_000)]}}}},
        "patterns": {"type": "object", "properties": {f"p{i}": {"type": "string", "pattern": f"^(?i)x{i}\\w{{40}}$"} for i in range(6000)}},
        "any": {"type": "object", "properties": {"x": {}}},
        "big": {"type": "object", "properties": {"bytes": number}},
        "chatty": {"type": "object", "properties": {"count": number, "bytes": number}},
    }  # fmt: skip


def tools():
    if KIND == "schemas":
        return [{"name": name, "inputSchema": schema} for name, schema in schemas().items()]
    return [{"name": f"some_rather_usual_tool_name_{i:05}", "inputSchema": {"type": "object"}} for i in range(TOOLS)]


GOOD_LIST = json.dumps({"tools": tools()}).encode()
BAD_LIST = b'{"tools":[' + b"{}," * (NO_TOOLS - 1) + b"{}]}" if KIND == "lists" else GOOD_LIST


def call(ident, name, arguments, meta):
    count, size = min(arguments.get("count", 0), 1000), min(arguments.get("bytes", 0), 64 << 20)
    if name == "big":
        head = '{"jsonrpc":"2.0","id":%s,"result":{"content":[{"type":"text","text":"' % json.dumps(ident)
        return say(head.encode(), b"x" * size, b'"}]}}')
    if KIND == "lists":
        threading.Thread(target=change, args=(min(arguments.get("seconds", 0), 60),), daemon=True).start()
    if name == "chatty" and "progressToken" in meta:
        for number in range(count):
            params = {"progressToken": meta["progressToken"], "progress": number + 1, "message": "x" * size}
            send(method="notifications/progress", params=params)
    send(id=ident, result={"content": [{"type": "text", "text": "done"}]})


def change(seconds):
    for _ in range(seconds):
        time.sleep(1)
        send(method="notifications/tools/list_changed")


lists = 0
for line in sys.stdin:
    message = json.loads(line)
    ident, method, params = message.get("id"), message.get("method"), message.get("params") or {}
    if method == "initialize":
        capabilities = {"tools": {"listChanged": True}}
        info = {"name": f"hostile {KIND}", "version": "1"}
        send(id=ident, result={"protocolVersion": "2025-06-18", "capabilities": capabilities, "serverInfo": info})
    elif method == "tools/list":
        lists += 1
        body = BAD_LIST if lists % 2 == 0 else GOOD_LIST
        say(b'{"jsonrpc":"2.0","id":' + json.dumps(ident).encode() + b',"result":' + body + b"}")
    elif method == "tools/call":
        meta = params.get("_meta") or {}
        arguments = params.get("arguments") or {}
        threading.Thread(target=call, args=(ident, params["name"], arguments, meta), daemon=True).start()
    elif method == "ping":
        send(id=ident, result={})
    elif ident is not None and method:
        send(id=ident, error={"code": -32601, "message": "no such method"})
