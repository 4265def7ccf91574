#!/usr/bin/env python3
"""A stdio MCP server that greets, numbers and writes as few servers do; standard library only.

Usage: uneven_server.py [--says JSON] [--asks METHOD] [--question FAULT] [--ids FORM] [--writes FORM] [--late SECONDS]
                        [--log FILE]

--says JSON       the whole result of `initialize`, in place of a good one
--asks METHOD     asks this of the client before it answers `initialize`, and waits for the answer
--question FAULT  exit | close | silence | deaf | nameless: what becomes of it at the question for its era. It ends with a
                  word on its stderr, closes its output and lives on, ignores the question, ignores everything before
                  `initialize`, or answers everything before it with an error that has no id
--ids FORM        text | fraction: how it writes the numbers of its answers
--writes FORM     how it writes its answers: see `written`. The tool `plain` is answered as it should be, and so is the
                  greeting, unless FORM ends with `-always`
--late SECONDS    begins to read so much later
--log FILE        appends the method of each message that arrives, one a line, with its process id
Its tools are `plain`, `odd` and `slow` (which answers after a second, when it has written of it).
"""
import argparse, json, os, sys, time

parser = argparse.ArgumentParser()
for option in ("--says", "--asks", "--question", "--ids", "--writes", "--log"):
    parser.add_argument(option)
parser.add_argument("--late", type=float, default=0)
options = parser.parse_args()
FORM = (options.writes or "").removesuffix("-always")
ALWAYS = (options.writes or "").endswith("-always")


def write(text, encoding="utf-8"):
    os.write(1, text if isinstance(text, bytes) else text.encode(encoding))


def written(answer):
    line = json.dumps(answer)
    body = {"jsonrpc": "2.0", "id": answer["id"], "result": answer.get("result", {})}
    return {
        "nan": lambda: json.dumps({**body, "result": {**body["result"], "structuredContent": {"n": float("nan")}}}) + "\n",
        "infinity-last": lambda: '{"result": {"n": -Infinity, "method": "x"}, "jsonrpc": "2.0", "id": %d}\n' % answer["id"],
        "ansi": lambda: "\x1b[0m" + line + "\x1b[0m\n",
        "colours": lambda: line.replace(f'"id": {answer["id"]}', f'\x1b[34;1m"id"\x1b[0m: \x1b[33m{answer["id"]}\x1b[0m') + "\n",
        "prompt": lambda: "> " + line + "\n",
        "repr": lambda: repr(body) + "\n",
        "framed": lambda: f"Content-Length: {len(line)}\r\n\r\n{line}",
        "pretty": lambda: json.dumps(body, indent=2) + "\n",
        "pretty-last": lambda: json.dumps({"result": {"method": {"a": 1}}, "jsonrpc": "2.0", "id": answer["id"]}, indent="\t") + "\n",
        "yaml": lambda: f"---\njsonrpc: '2.0'\nid: {answer['id']}\nresult:\n  ok: true\n",
        "utf-16": lambda: (line + "\n").encode("utf-16-le"),
        "latin-1": lambda: json.dumps({**body, "result": {"content": [{"type": "text", "text": "grün"}]}}, ensure_ascii=False).encode("latin-1") + b"\n",
        "logged": lambda: f"DEBUG answers {line!r}\nINFO sends {json.dumps(body)} now\n{json.dumps(body, indent=2)}\n{line}\n",
    }[FORM]()


def send(**message):
    if options.ids and "method" not in message:
        message["id"] = str(message["id"]) if options.ids == "text" else float(message["id"])
    message = {"jsonrpc": "2.0", **message}
    is_odd = FORM and "method" not in message and (ALWAYS or (message.get("result") or {}).get("odd"))
    write(written(message) if is_odd else json.dumps(message) + "\n")


def tool(name):
    return {"name": name, "inputSchema": {"type": "object"}}


def answer(method, parameters, ident):
    if method == "initialize":
        good = {"protocolVersion": parameters["protocolVersion"], "capabilities": {"tools": {}},
                "serverInfo": {"name": "uneven", "version": "1"}}
        return good if options.says is None else json.loads(options.says)
    if method == "tools/list":
        return {"tools": [tool(name) for name in ("plain", "odd", "slow")]}
    if method == "tools/call":
        if parameters["name"] == "slow":
            write(f'received {{"jsonrpc": "2.0", "id": {ident}, "method": "tools/call", "params": {{"result": 1}}}}\n')
            write(json.dumps({"jsonrpc": "2.0", "id": ident, "method": method, "error": 1}, indent=2) + "\nid: %d\n" % ident)
            time.sleep(1)
        return {"content": [{"type": "text", "text": parameters["name"]}], **({"odd": True} if parameters["name"] == "odd" else {})}
    return {} if method == "ping" else None


time.sleep(options.late)
greeted, held = False, None
for line in sys.stdin:
    message = json.loads(line)
    method, ident = message.get("method"), message.get("id")
    if options.log:
        with open(options.log, "a") as log:
            log.write(f"{os.getpid()} {method}\n")
    if method is None:
        if held is not None and ident == "question":
            send(id=held[0], result=held[1])
            held = None
        continue
    greeted = greeted or method == "initialize"
    if not greeted and options.question:
        if options.question == "exit":
            sys.exit("no licence for server/discover")
        if options.question == "close":
            os.close(1)
            time.sleep(30)
            sys.exit(0)
        if options.question == "nameless":
            write('{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"initialize first"}}\n')
        if options.question in ("deaf", "nameless") or method == "server/discover":
            continue
    if ident is None:
        continue
    result = answer(method, message.get("params") or {}, ident)
    if method == "initialize" and options.asks:
        held = (ident, result)
        send(id="question", method=options.asks, params={"message": "?", "requestedSchema": {}})
    elif result is None:
        send(id=ident, error={"code": -32601, "message": "no such method"})
    else:
        send(id=ident, result=result)
