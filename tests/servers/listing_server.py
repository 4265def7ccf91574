#!/usr/bin/env python3
"""A stdio MCP server of the era of sessions that answers what a file says; standard library only.

Usage: listing_server.py FILE [--log FILE]

FILE holds an object, read at every request: by method the result, or an object `{"error": ...}`. Under `tools/call`,
`prompts/get` and `resources/read` it holds results by name or URI; without one the answer is a text with the arguments. What
stands under `initialize` is laid over the answer to that.
--log FILE  appends every message that arrives, as one JSON line
"""
import argparse, json, sys

parser = argparse.ArgumentParser()
parser.add_argument("file")
parser.add_argument("--log")
options = parser.parse_args()
BY_NAME = {"tools/call": "name", "prompts/get": "name", "resources/read": "uri"}


def answer(method, params):
    with open(options.file) as file:
        said = json.load(file)
    if method == "initialize":
        version = min(params["protocolVersion"], "2025-11-25")
        offered = {key: {} for key in ("tools", "prompts", "resources")}
        result = {"protocolVersion": version, "capabilities": offered, "serverInfo": {"name": "listing", "version": "1"}}
        return {"result": {**result, **said.get("initialize", {})}}
    if method in BY_NAME:
        asked = params[BY_NAME[method]]
        echo = {"content": [{"type": "text", "text": json.dumps(params.get("arguments"))}]} if method == "tools/call" else None
        result = said.get(method, {}).get(asked, echo)
    else:
        result = {} if method == "ping" else said.get(method)
    if result is None:
        return {"error": {"code": -32601, "message": f"Method not found: {method}"}}
    return result if "error" in result else {"result": result}


for line in sys.stdin:
    if options.log:
        with open(options.log, "a") as log:
            log.write(line)
    message = json.loads(line)
    if "id" in message and "method" in message:
        reply = {"jsonrpc": "2.0", "id": message["id"], **answer(message["method"], message.get("params") or {})}
        print(json.dumps(reply), flush=True)
