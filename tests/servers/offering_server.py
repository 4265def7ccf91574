#!/usr/bin/env python3
"""A stdio MCP server with prompts and resources, some of which fail on request, and with tools that say something
beside their answers; standard library only.

Usage: offering_server.py [--prompts NAME,NAME] [--page N] [--fail METHOD] [--hang METHOD] [--circle]
                          [--ttl MS] [--scope SCOPE] [--log FILE] [--tells] [--more NAME,NAME]
                          [--enables NAME,NAME] [--nags] [--while FILE] [--described BYTES]

--prompts A,B  the prompts; without it the server has none and does not declare them
--page N       entries on one page of a list
--circle       the last page of a list names the first one as the next
--fail METHOD  answers this method with an error
--hang METHOD  never answers this method
--while FILE   does either only while the file exists
--ttl, --scope what its lists say of how long, and for whom, they may be kept
--log FILE     appends every message that arrives, as one JSON line, with the server's process id
--tells        declares that it tells of changes and logs, and has the tools `touch` (one resource has changed: `uri`),
               `change` (a list has: `kind`, said `times` times), `ask` (asks the user, and answers what the user did;
               its `message` is said in a header, too; with `until`, a file, it then tells its progress and waits for the
               file), `steps` (tells its progress three times), `log` (writes a message of level `info`) and `pid`
--nags         has the tool `nag`, which asks the user `count` times, each `every` milliseconds, and never answers
--more A,B     further tools, for a client that can be asked something; they echo their arguments
--echoes-changes says after each list of tools that it has changed
--described N  each tool and each prompt has a description of so many bytes
--enables A,B  has the tool `enable`, after which this process has these tools, too, and says so
"""
import argparse, json, os, sys, threading, time

parser = argparse.ArgumentParser()
for option in ("--prompts", "--fail", "--hang", "--scope", "--log"):
    parser.add_argument(option)
parser.add_argument("--while", dest="trouble_file")
parser.add_argument("--page", type=int, default=100)
parser.add_argument("--ttl", type=int)
parser.add_argument("--circle", action="store_true")
parser.add_argument("--tells", action="store_true")
parser.add_argument("--nags", action="store_true")
parser.add_argument("--echoes-changes", action="store_true")
parser.add_argument("--more", default="")
parser.add_argument("--described", type=int)
parser.add_argument("--enables", default="")
options = parser.parse_args()

DESCRIBED = {} if options.described is None else {"description": "d" * options.described}
PROMPTS = [{"name": name, "x-vendor": 1.50, **DESCRIBED} for name in (options.prompts or "").split(",") if name]
RESOURCES = [{"uri": f"odd+x://{number}/?a=%20#é", "name": f"R{number}", "x-vendor": {"uri": "kept://"}} for number in range(3)]
CHANGING = {"listChanged": True} if options.tells else {}
CAPABILITIES = {
    "tools": {}, "resources": {**CHANGING, **({"subscribe": True} if options.tells else {})},
    **({"prompts": CHANGING} if PROMPTS else {}), **({"logging": {}} if options.tells else {}), "x-vendor": {"kept": True},
}
TOOLS = ["touch", "change", "ask", "steps", "log", "pid"] if options.tells else []
if options.enables:
    TOOLS.append("enable")
if options.nags:
    TOOLS.append("nag")
client, followed, waiting = {}, set(), {}


def send(**message):
    print(json.dumps({"jsonrpc": "2.0", **message}), flush=True)


def has_trouble(method, with_method):
    return method == with_method and (options.trouble_file is None or os.path.exists(options.trouble_file))


def tools():
    more = [name for name in options.more.split(",") if name and client.get("capabilities")]
    message = {"type": "object", "properties": {"message": {"type": "string", "x-mcp-header": "Message"}}}
    schemas = {"ask": message}
    return [{"name": name, "inputSchema": schemas.get(name, {"type": "object"}), **DESCRIBED} for name in TOOLS + more]


def nag(count, every):
    for number in range(count):
        send(id=f"nag-{number}", method="elicitation/create", params={"message": "?", "requestedSchema": {}})
        time.sleep(every / 1000)


def call(ident, name, arguments, meta):
    """The text of the answer; None when it comes later."""
    if name == "touch" and arguments["uri"].split("/part")[0] in followed:
        send(method="notifications/resources/updated", params={"uri": arguments["uri"]})
    elif name == "change":
        for _ in range(arguments.get("times", 1)):
            send(method=f"notifications/{arguments['kind']}/list_changed")
    elif name == "ask":
        if "elicitation" not in client.get("capabilities", {}):
            return "nobody to ask"
        waiting[f"ask-{ident}"] = ident, arguments.get("until"), meta.get("progressToken")
        form = {"message": arguments.get("message", "?"), "requestedSchema": {"type": "object", "properties": {}}}
        send(id=f"ask-{ident}", method="elicitation/create", params=form)
        return None
    elif name == "nag":
        threading.Thread(target=nag, args=(arguments["count"], arguments.get("every", 0)), daemon=True).start()
        return None
    elif name == "steps" and "progressToken" in meta:
        for step in range(3):
            send(method="notifications/progress", params={"progressToken": meta["progressToken"], "progress": step + 1})
    elif name == "log":
        send(method="notifications/message", params={"level": "info", "data": arguments.get("message")})
    elif name == "pid":
        return str(os.getpid())
    elif name == "enable":
        TOOLS.extend(options.enables.split(","))
        send(method="notifications/tools/list_changed")
    return json.dumps({"tool": name, "arguments": arguments})


def answer_later(file, token, answer):
    send(method="notifications/progress", params={"progressToken": token, "progress": 1})
    while not os.path.exists(file):
        time.sleep(0.02)
    send(**answer)


def text(body):
    return {"content": [{"type": "text", "text": body}]}


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
        client.update(parameters)
        return {"protocolVersion": parameters["protocolVersion"], "capabilities": CAPABILITIES,
                "serverInfo": {"name": "offering", "version": "1", "x-owner": [1, None]}}
    if method == "tools/list":
        return {"tools": tools()}
    if options.tells and method in ("resources/subscribe", "resources/unsubscribe"):
        (followed.add if method.endswith("/subscribe") else followed.discard)(parameters["uri"])
        return {}
    if options.tells and method in ("logging/setLevel", "ping"):
        return {}
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
            log.write(json.dumps({**message, "pid": os.getpid()}) + "\n")
    method, ident = message.get("method"), message.get("id")
    parameters = message.get("params") or {}
    if method is None and ident in waiting:
        action = message.get("result", {}).get("action", "none")
        call_ident, file, token = waiting.pop(ident)
        did = {"id": call_ident, "result": text(f"the user did {action} {message.get('result', {}).get('content', {})}")}
        if file is None:
            send(**did)
        else:
            threading.Thread(target=answer_later, args=(file, token, did), daemon=True).start()
    if ident is None or method is None or has_trouble(method, options.hang):
        continue
    if method == "tools/call" and parameters.get("name") in [tool["name"] for tool in tools()]:
        body = call(ident, parameters["name"], parameters.get("arguments") or {}, parameters.get("_meta") or {})
        if body is not None:
            send(id=ident, result=text(body))
        continue
    result = None if has_trouble(method, options.fail) else answer(method, parameters)
    if result is not None:
        send(id=ident, result=result)
        if options.echoes_changes and method == "tools/list":
            send(method="notifications/tools/list_changed")
    else:
        send(id=ident, error={"code": -32000, "message": f"no {method} today"})
