#!/usr/bin/env python3
"""A stdio (or Unix-socket) MCP server that misbehaves on request; standard library only.

Usage: scripted_server.py [--log FILE] [--socket PATH] [--start FAULT] [--tools NAME,NAME] [--delay SECONDS]

--log FILE     appends every message that arrives, and every life and death, as one JSON line
--socket PATH  listens there and serves one session per connection, with the framing of stdio
--delay N      answers `initialize` after N seconds
--tools A,B    further tools that echo their arguments
--tools-read-only A,B  further tools that echo their arguments and claim to change nothing
--tools-odd    further entries in the list that are no proper tools
--entries FILE further entries, the JSON text in the file, with its number for `$n`, read at every tools/list
--times N      as often as that
--restless N   says every N seconds that its list has changed
--tools-file F further tools, one a line, read at every tools/list
--unless FILE  begins with the fault `exit` when the file exists
--start FAULT  exit (writes two lines to stderr, leaves with status 7) | hang (never answers initialize) |
               garbage (writes what is no JSON and goes on) | noise (only garbage, never an answer) |
               stubborn (ignores SIGTERM and the end of its input)
"""
import argparse, json, os, signal, socket, subprocess, sys, threading, time

parser = argparse.ArgumentParser()
for option in ("--log", "--socket", "--start", "--tools", "--tools-file", "--tools-read-only", "--unless", "--entries"):
    parser.add_argument(option)
parser.add_argument("--times", type=int, default=1)
parser.add_argument("--restless", type=float, default=0)
parser.add_argument("--tools-odd", action="store_true")
parser.add_argument("--delay", type=float, default=0)
options = parser.parse_args()
guard = threading.Lock()


def note(**entry):
    if options.log:
        with guard, open(options.log, "a") as log:
            log.write(json.dumps({"pid": os.getpid(), **entry}) + "\n")


def tool(name, properties=None, **more):
    return {"name": name, "description": name, "inputSchema": {"type": "object", "properties": properties or {}}, **more}


TOOLS = [
    tool("echo", {"value": {}}),
    tool("pid"),
    tool("wait"),
    tool("slow", {"seconds": {"type": "number"}}),
    tool("progress", {"seconds": {"type": "number"}, "steps": {"type": "integer"}}),
    tool("fork"),
    tool("complain"),
    tool("big", {"bytes": {"type": "integer"}}),
    tool("vendor"),
    tool("environment"),
]
# With `--tools-odd`: entries that no typed reading accepts.
ODD_TOOLS = [{"name": "bare"}, {"name": "text", "inputSchema": "no object"}, {"inputSchema": {}}, "no tool at all", None]

# Everything that a typed reading could lose: unknown keys, unknown kinds, order, numbers beyond f64.
VENDOR = (
    '{"content":[{"type":"text","text":"a","annotations":{"priority":0.5},"x-vendor":[1,2]},'
    '{"type":"hologram","depth":3},{"type":"text","text":"b"}],"structuredContent":{"big":123456789012345678901234567890,'
    '"float":1.0,"null":null},"_meta":{"trace":"1"},"isError":false,"zeta":{"kept":true},"tools":[]}'
)


class Session:
    def __init__(self, reader, writer):
        self.reader, self.writer, self.lock, self.cancelled = reader, writer, threading.Lock(), {}

    def send_text(self, line):
        with self.lock:
            try:
                self.writer.write(line + "\n")
                self.writer.flush()
            except (BrokenPipeError, ValueError):
                pass

    def send(self, **message):
        self.send_text(json.dumps({"jsonrpc": "2.0", **message}))

    def serve(self):
        for line in self.reader:
            if line.strip():
                message = json.loads(line)
                note(message=message)
                threading.Thread(target=self.handle, args=(message,), daemon=True).start()
        note(event="end of input")

    def tools(self):
        extra = [tool(name, {"value": {}}) for name in (options.tools or "").split(",") if name]
        hint = {"annotations": {"readOnlyHint": True}}
        extra += [tool(name, {"value": {}}, **hint) for name in (options.tools_read_only or "").split(",") if name]
        if options.tools_file and os.path.exists(options.tools_file):
            with open(options.tools_file) as names:
                extra += [tool(name.strip(), {"value": {}}) for name in names if name.strip()]
        text = json.dumps(TOOLS + extra + (ODD_TOOLS if options.tools_odd else []))
        if options.entries:
            with open(options.entries) as entries:
                entry = entries.read()
            text = text[:-1] + "".join("," + entry.replace("$n", str(n)) for n in range(options.times)) + "]"
        return text

    def say_that_it_changed(self):
        while True:
            time.sleep(options.restless)
            self.send(method="notifications/tools/list_changed")

    def handle(self, message):
        method, ident, parameters = message.get("method"), message.get("id"), message.get("params") or {}
        if method == "notifications/cancelled":
            self.cancelled.setdefault(parameters.get("requestId"), threading.Event()).set()
        if ident is None or method is None:
            return
        if method == "initialize":
            if options.start == "hang":
                return
            time.sleep(options.delay)
            self.send(id=ident, result={
                "protocolVersion": parameters["protocolVersion"],
                "capabilities": {"tools": {"listChanged": True}},
                "serverInfo": {"name": "scripted", "version": "1.2.3"},
            })
            if options.restless:
                threading.Thread(target=self.say_that_it_changed, daemon=True).start()
        elif method == "tools/list":
            self.send_text('{"jsonrpc":"2.0","id":%s,"result":{"tools":%s}}' % (json.dumps(ident), self.tools()))
        elif method == "ping":
            self.send(id=ident, result={})
        elif method == "tools/call":
            if parameters["name"] == "vendor":
                self.send_text('{"jsonrpc":"2.0","id":%s,"result":%s}' % (json.dumps(ident), VENDOR))
                return
            answer = self.call(ident, parameters["name"], parameters.get("arguments") or {}, parameters)
            if answer is not None:
                self.send(id=ident, result={"content": [{"type": "text", "text": answer}]})
        else:
            self.send(id=ident, error={"code": -32601, "message": "no such method " + method})

    def call(self, ident, name, arguments, parameters):
        if name == "pid":
            return str(os.getpid())
        if name == "wait":
            self.cancelled.setdefault(ident, threading.Event()).wait()
            return None
        if name == "slow":
            time.sleep(float(arguments.get("seconds", 1)))
            return "slept"
        if name == "progress":
            token = (parameters.get("_meta") or {}).get("progressToken")
            for step in range(int(arguments.get("steps", 1))):
                time.sleep(float(arguments.get("seconds", 1)))
                if token is not None:
                    self.send(method="notifications/progress", params={"progressToken": token, "progress": step + 1})
            return "done"
        if name == "fork":
            # A grandchild that ignores the end of its input and SIGTERM, as launchers' children do.
            child = subprocess.Popen(
                [sys.executable, "-c", "import signal,time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(180)"],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            return str(child.pid)
        if name == "complain":
            sys.stderr.write("the disk is on fire\nleaving now\n")
            sys.stderr.flush()
            os._exit(9)
        if name == "big":
            return "y" * int(arguments["bytes"])
        if name == "environment":
            return json.dumps(dict(os.environ))
        return json.dumps({"tool": name, "arguments": arguments})


note(event="start")
if options.start == "exit" or (options.unless and os.path.exists(options.unless)):
    sys.stderr.write("cannot read the licence\ngiving up: no licence\n")
    sys.exit(7)
if options.start == "stubborn":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
if options.start in ("garbage", "noise"):
    sys.stdout.write("Welcome to the server!\n\n{not json}\n\x00\x01\n")
    sys.stdout.flush()
if options.start == "noise":
    for _ in sys.stdin:
        sys.stdout.write("still no JSON\n")
        sys.stdout.flush()
    sys.exit(0)
if options.socket:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(options.socket)
    listener.listen(16)
    while True:
        connection, _ = listener.accept()
        session = Session(connection.makefile("r"), connection.makefile("w"))
        threading.Thread(target=session.serve, daemon=True).start()
else:
    Session(sys.stdin, sys.stdout).serve()
    while options.start == "stubborn":
        time.sleep(1)
