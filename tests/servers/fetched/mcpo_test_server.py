"""An MCP server over standard input and output with one tool, which tells where it runs."""
import json
import os
import platform
import sys

TOOLS = [{"name": "where", "description": "Where this runs", "inputSchema": {"type": "object"}}]


def where():
    told = {"runtime": f"python {platform.python_version()}", "path": os.environ["PATH"], "program": __file__}
    return {"content": [{"type": "text", "text": json.dumps(told)}]}


def answer(method, params):
    if method == "initialize":
        server = {"name": "fetched by uvx", "version": "1.0.0"}
        version = params["protocolVersion"]
        return {"result": {"protocolVersion": version, "capabilities": {"tools": {}}, "serverInfo": server}}
    if method == "tools/list":
        return {"result": {"tools": TOOLS}}
    if method == "tools/call":
        return {"result": where()}
    return {"error": {"code": -32601, "message": f"no method {method}"}}


def main():
    for line in sys.stdin:
        message = json.loads(line)
        if "id" in message:
            reply = answer(message["method"], message.get("params", {}))
            print(json.dumps({"jsonrpc": "2.0", "id": message["id"], **reply}), flush=True)
