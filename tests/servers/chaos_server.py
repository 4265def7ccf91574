#!/usr/bin/env python3
"""A stdio MCP server whose tools break it, the protocol or its pipes; standard library only.

Usage: chaos_server.py [--pages BYTES] [--log FILE]

--pages BYTES  `tools/list` never ends: each page has a new cursor and a tool of about so many bytes
--log FILE     appends the id and method of every message that arrives, as one JSON line

What every tool does stands beside its name in `TOOLS`. All amounts are bounded by the arguments.
"""
import argparse, json, os, signal, sys, threading, time

parser = argparse.ArgumentParser()
parser.add_argument("--pages", type=int)
parser.add_argument("--log")
options = parser.parse_args()
guard, reading = threading.Lock(), threading.Event()
reading.set()
N = {"type": "integer"}
TOOLS = {
    "echo": {"value": {}},  # answers with its arguments
    "pid": {},
    "wait": {},  # never answers
    "giant": {"bytes": N},  # a result of so many bytes
    "endless": {"bytes": N},  # begins its answer, writes so many bytes and never ends the line
    "deep": {"depth": N},  # a result that is nested so deeply
    "complain": {"bytes": N},  # so many bytes to stderr without a newline, then answers
    "notify": {"count": N, "bytes": N},  # so many log messages of so many bytes, then answers
    "progress": {"count": N, "bytes": N},  # so much progress with so long a message, then answers
    "ask": {"count": N},  # so many requests of its own, while it reads nothing; then answers
    "close_output": {},  # closes its output and lives on
    "close_input": {},  # closes its input, then answers
    "close_errors": {},  # closes its stderr, then answers
    "deafen": {"seconds": {"type": "number"}},  # answers, then reads nothing for so long
    "half": {},  # writes half of its answer and stalls for ever
    "malformed": {},  # answers with what is no JSON
    "wrong_id": {},  # answers a request that nobody made
    "twice": {},  # answers twice
    "late": {"seconds": {"type": "number"}},  # answers after so long, cancelled or not
    "leave_holder": {},  # starts a process that holds the pipes, and exits itself
    "leave_daemon": {},  # starts a process with a session and group of its own, answers with its id
}


def write(text):
    data = text.encode()
    while data:
        data = data[os.write(1, data[: 1 << 20]) :]


def send(**message):
    with guard:
        write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")


def answer(ident, value):
    send(id=ident, result={"content": [{"type": "text", "text": value}]})


def head(ident):
    return '{"jsonrpc":"2.0","id":%s,"result":{"content":[{"type":"text","text":"' % json.dumps(ident)


def fill(count):
    block = "y" * 65536
    for _ in range(count // len(block)):
        write(block)
    write(block[: count % len(block)])


def listed(parameters):
    if options.pages is None:
        return {"tools": [{"name": n, "inputSchema": {"type": "object", "properties": p}} for n, p in TOOLS.items()]}
    page = int(parameters.get("cursor") or 0) + 1
    properties = {"member-%d" % number: {} for number in range(options.pages // 16)}
    tool = {"name": "page-%d" % page, "inputSchema": {"type": "object", "properties": properties}}
    return {"tools": [tool], "nextCursor": str(page)}


def call(ident, name, arguments, meta):
    if name == "echo":
        return json.dumps(arguments)
    if name == "giant":
        with guard:
            write(head(ident))
            fill(arguments["bytes"])
            write('"}]}}\n')
    elif name == "endless":
        with guard:
            write(head(ident))
            fill(arguments["bytes"])
            time.sleep(600)
    elif name == "deep":
        nested = "[" * arguments["depth"] + "]" * arguments["depth"]
        with guard:
            write('{"jsonrpc":"2.0","id":%s,"result":{"content":[],"structuredContent":%s}}\n' % (ident, nested))
    elif name == "complain":
        left = arguments["bytes"]
        while left > 0:
            left -= os.write(2, b"z" * min(left, 65536))
        return "complained"
    elif name == "notify":
        data = "n" * arguments["bytes"]
        for _ in range(arguments["count"]):
            send(method="notifications/message", params={"level": "info", "data": data})
        return "notified"
    elif name == "progress":
        said = {"progressToken": meta.get("progressToken"), "message": "p" * arguments["bytes"]}
        for number in range(arguments["count"]):
            send(method="notifications/progress", params={**said, "progress": number + 1})
        return "progressed"
    elif name == "ask":
        reading.clear()
        for number in range(arguments["count"]):
            send(id="own-%d" % number, method="ping")
        answer(ident, "asked")
        time.sleep(2)
        reading.set()
    elif name == "close_output":
        os.close(1)
    elif name == "close_input":
        os.close(0)
        return "closed"
    elif name == "close_errors":
        os.close(2)
        return "closed"
    elif name == "deafen":
        reading.clear()
        answer(ident, "deaf")
        time.sleep(arguments["seconds"])
        reading.set()
    elif name == "half":
        with guard:
            write(head(ident) + "hal")
            time.sleep(600)
    elif name == "malformed":
        with guard:
            write('{"jsonrpc":"2.0","id":%s,"result":{"content":[}\n' % ident)
    elif name == "wrong_id":
        send(id=ident + 1000, result={"content": [{"type": "text", "text": "whose?"}]})
    elif name == "twice":
        answer(ident, "first")
        answer(ident, "second")
    elif name == "late":
        time.sleep(arguments["seconds"])
        return "late"
    elif name == "leave_holder":
        if os.fork() == 0:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            time.sleep(60)
            os._exit(0)
        os._exit(0)
    elif name == "leave_daemon":
        reader, writer = os.pipe()
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                os.write(writer, str(os.getpid()).encode())
                for descriptor in (0, 1, 2, reader, writer):
                    os.close(descriptor)
                time.sleep(60)
            os._exit(0)
        os.wait()
        return os.read(reader, 20).decode()
    return str(os.getpid()) if name == "pid" else None


def handle(message):
    method, ident, parameters = message.get("method"), message.get("id"), message.get("params") or {}
    if ident is None or method is None:
        return
    if method == "initialize":
        send(id=ident, result={
            "protocolVersion": parameters["protocolVersion"],
            "capabilities": {"tools": {"listChanged": True}},
            "serverInfo": {"name": "chaos", "version": "1"},
        })
    elif method == "tools/list":
        send(id=ident, result=listed(parameters))
    elif method == "tools/call":
        text = call(ident, parameters["name"], parameters.get("arguments") or {}, parameters.get("_meta") or {})
        if text is not None:
            answer(ident, text)
    else:
        send(id=ident, result={})


def lines():
    rest = b""
    while True:
        reading.wait()
        try:
            data = os.read(0, 65536)
        except OSError:
            time.sleep(600)
        if not data:
            return
        rest += data
        if b"\n" in data:
            *whole, rest = rest.split(b"\n")
            yield from whole


for line in lines():
    message = json.loads(line)
    if options.log:
        with open(options.log, "a") as log:
            log.write(json.dumps({"id": message.get("id"), "method": message.get("method"), "params": message.get("params")}) + "\n")
    threading.Thread(target=handle, args=(message,), daemon=True).start()
