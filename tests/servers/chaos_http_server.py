#!/usr/bin/env python3
"""A streamable HTTP (or, with --sse, legacy SSE) MCP server that breaks its answers; standard library only.

Usage: chaos_http_server.py --port N [--sse] [--flood]

--sse    serves the older transport: GET /sse, POST /messages
--flood  sends notifications on the GET stream without end, as fast as they are taken

What every tool does stands beside its name in `TOOLS`.
"""
import argparse, json, os, queue, socket, struct, threading, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

parser = argparse.ArgumentParser()
parser.add_argument("--port", type=int, required=True)
parser.add_argument("--sse", action="store_true")
parser.add_argument("--flood", action="store_true")
options = parser.parse_args()
stream = None
TOOLS = [
    "echo",
    "pid",
    "reset",  # half an answer, then a TCP reset
    "stall",  # the head of an answer, and never a body
    "silence",  # nothing at all
    "cut_events",  # the beginning of an event, then the end of the connection
    "endless_events",  # events that answer nobody, without end
    "endless_event",  # an event that never ends
    "endless_body",  # a JSON answer that never ends
]
NOISE = b'event: message\ndata: {"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"' + b"n" * 200 + b'"}}\n\n'


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_):
        pass

    def answer(self, status, body=b"", kind="application/json"):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def open_ended(self, kind, head=b""):
        self.close_connection = True
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(head)
        self.wfile.flush()

    def for_ever(self, data):
        # Three gigabytes at most: the test ends it long before.
        for _ in range((3 << 30) // len(data)):
            self.wfile.write(data)

    def do_GET(self):
        global stream
        if options.sse:
            mine = stream = queue.Queue()
            self.open_ended("text/event-stream", b"event: endpoint\ndata: /messages\n\n")
            while True:
                self.wfile.write(b"event: message\ndata: " + mine.get() + b"\n\n")
                self.wfile.flush()
        if options.flood:
            self.open_ended("text/event-stream")
            return self.for_ever(NOISE * 100)
        self.answer(405)

    def do_DELETE(self):
        self.answer(200)

    def do_POST(self):
        message = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)))
        method, ident, parameters = message.get("method"), message.get("id"), message.get("params") or {}
        if ident is None:
            return self.answer(202)
        if method == "initialize":
            result = {"protocolVersion": parameters["protocolVersion"], "capabilities": {"tools": {}}, "serverInfo": {"name": "chaos", "version": "1"}}
        elif method == "tools/list":
            result = {"tools": [{"name": name, "inputSchema": {"type": "object"}} for name in TOOLS]}
        elif method == "tools/call":
            name = parameters["name"]
            if name not in ("echo", "pid"):
                return self.fault(name, ident)
            text = str(os.getpid()) if name == "pid" else json.dumps(parameters.get("arguments"))
            result = {"content": [{"type": "text", "text": text}]}
        else:
            result = {}
        reply = json.dumps({"jsonrpc": "2.0", "id": ident, "result": result}).encode()
        if options.sse:
            self.answer(202)
            return stream.put(reply)
        self.answer(200, reply)

    def fault(self, name, ident):
        begun = b'{"jsonrpc":"2.0","id":%d,"result":{"content":[{"type":"text","text":"' % ident
        if name == "reset":
            self.open_ended("application/json", begun)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            # The streams hold the socket open; it must be closed itself, and at once.
            self.rfile.close(), self.wfile.close(), self.connection.close()
        elif name == "stall":
            self.open_ended("application/json")
            time.sleep(600)
        elif name == "silence":
            time.sleep(600)
        elif name == "cut_events":
            self.open_ended("text/event-stream", b"event: message\ndata: " + begun)
        elif name == "endless_events":
            self.open_ended("text/event-stream")
            self.for_ever(NOISE * 100)
        elif name == "endless_event":
            self.open_ended("text/event-stream", b"event: message\ndata: " + begun)
            self.for_ever(b"e" * 65536)
        elif name == "endless_body":
            self.open_ended("application/json", begun)
            self.for_ever(b"b" * 65536)

    def handle(self):
        try:
            super().handle()
        except (OSError, ValueError):
            pass

    def finish(self):
        try:
            super().finish()
        except (OSError, ValueError):
            pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def shutdown_request(self, request):
        try:
            super().shutdown_request(request)
        except OSError:
            pass


Server(("127.0.0.1", options.port), Handler).serve_forever()
