#!/usr/bin/env python3
"""A stdio MCP server with prompts and resources, some of which fail on request; standard library only.

Usage: offering_server.py [--prompts NAME,NAME] [--page N] [--fail METHOD] [--hang METHOD] [--circle]
                          [--ttl MS] [--scope SCOPE] [--log FILE]

--prompts A,B  the prompts; without it the server has none and does not declare them
--page N       entries on one page of a list
--circle       the last page of a list names the first one as the next
--fail METHOD  answers this method with an error
--hang METHOD  never answers this method
--ttl, --scope what its lists say of how long, and for whom, they may be kept
--log FILE     appends every message that arrives, as one JSON line
"""
import argparse, json, sys

parser = argparse.ArgumentParser()
for option in ("--prompts", "--fail", "--hang", "--scope", "--log"):
    parser.add_argument(option)
parser.add_argument("--page", type=int, default=100)
parser.add_argument("--ttl", type=int)
parser.add_argument("--circle", action="store_true")
options = parser.parse_args()

PROMPTS = [{"name": name, "x-vendor": 1.50} for name in (options.prompts or "").split(",") if name]
RESOURCES = [{"uri": f"odd+x://{number}/?a=%20#é", "name": f"R{number}", "x-vendor": {"uri": "kept://"}} for number in range(3)]
CAPABILITIES = {"tools": {}, "resources": {}, **({"prompts": {}} if PROMPTS else {}), "x-vendor": {"kept": True}}


def page(member, entries, parameters):
    start = int(parameters.get("cursor", 0))
    result = {member: entries[start:start + options.page]}
    if start + options.page < len(entries):
        result["nextCursor"] = str(start + options.page)
    elif options.circle:
        result["nextCursor"] = "0"
    if options.ttl is not None:
        result["ttlMs"] = options.ttl
    if options.scope:
        result["cacheScope"] = options.scope
    return result


def answer(method, parameters):
    if method == "initialize":
        return {"protocolVersion": parameters["protocolVersion"], "capabilities": CAPABILITIES,
                "serverInfo": {"name": "offering", "version": "1", "x-owner": [1, None]}}
    if method == "tools/list":
        return {"tools": []}
    if method == "prompts/list":
        return page("prompts", PROMPTS, parameters)
    if method == "resources/list":
        return page("resources", RESOURCES, parameters)
    if method == "prompts/get" and parameters.get("name") in [prompt["name"] for prompt in PROMPTS]:
        return {"messages": [{"role": "user", "content": {"type": "text", "text": parameters["name"]}}]}
    if method == "resources/read" and parameters.get("uri") in [resource["uri"] for resource in RESOURCES]:
        return {"contents": [{"uri": parameters["uri"], "text": "it"}]}
    return None


for line in sys.stdin:
    message = json.loads(line)
    if options.log:
        with open(options.log, "a") as log:
            log.write(line)
    method, ident = message.get("method"), message.get("id")
    if ident is None or method is None or method == options.hang:
        continue
    result = None if method == options.fail else answer(method, message.get("params") or {})
    end = {"result": result} if result is not None else {"error": {"code": -32000, "message": f"no {method} today"}}
    print(json.dumps({"jsonrpc": "2.0", "id": ident, **end}), flush=True)
