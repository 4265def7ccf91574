#!/usr/bin/env python3
"""A stdio MCP server that writes on its stderr what it is told: {"lines": N, "text": "..."}, then "over" by itself."""
import json, sys

SCHEMA = {"type": "object", "properties": {"lines": {"type": "integer"}, "text": {"type": "string"}}}


def answer(method, parameters):
    if method == "initialize":
        about = {"name": "flood", "version": "1"}
        return {"protocolVersion": parameters["protocolVersion"], "capabilities": {"tools": {}}, "serverInfo": about}
    if method == "tools/list":
        return {"tools": [{"name": "flood", "inputSchema": SCHEMA}]}
    if method != "tools/call":
        return {}
    wanted = parameters["arguments"]
    line = wanted["text"].encode() + b"\n"
    for _ in range(wanted["lines"]):
        sys.stderr.buffer.write(line)
    sys.stderr.flush()
    return {"content": []}


for line in sys.stdin:
    message = json.loads(line)
    if message.get("id") is not None:
        result = answer(message.get("method"), message.get("params") or {})
        print(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}), flush=True)
