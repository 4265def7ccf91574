#!/usr/bin/env python3
"""A stdio MCP server of revision 2026-07-28 whose one tool asks its client for input, again and again.

The tool `ask` takes the method that it asks for, such as elicitation/create; `nonsense` asks in a form that is none.
"""
import json, sys

SCHEMA = {"type": "object", "properties": {"method": {"type": "string"}}}
SERVER = {"io.modelcontextprotocol/serverInfo": {"name": "asking", "version": "1"}}


def answer(method, parameters):
    if method == "server/discover":
        return {"result": {"supportedVersions": ["2026-07-28"], "capabilities": {"tools": {}}, "_meta": SERVER}}
    if method == "tools/list":
        return {"result": {"tools": [{"name": "ask", "inputSchema": SCHEMA}]}}
    if method == "tools/call":
        asked = parameters["arguments"]["method"]
        wanted = 7 if asked == "nonsense" else {"q": {"method": asked, "params": {}}}
        return {"result": {"resultType": "input_required", "inputRequests": wanted, "requestState": "r"}}
    return {"error": {"code": -32601, "message": "no such method " + method}}


for line in sys.stdin:
    message = json.loads(line)
    if message.get("id") is not None:
        reply = answer(message.get("method"), message.get("params") or {})
        print(json.dumps({"jsonrpc": "2.0", "id": message["id"], **reply}), flush=True)
