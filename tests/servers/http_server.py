#!/usr/bin/env python3
"""A streamable HTTP MCP server (session era) whose faults can be chosen; standard library only.

Usage: http_server.py --port N [--status 401] [--events] [--sse] [--token SECRET] [--log FILE] [--hang METHOD]

--status N      answers every POST with this status
--events        answers as text/event-stream instead of application/json
--sse           speaks the older HTTP+SSE transport instead: GET opens the stream, POSTs are answered on it
--token SECRET  wants `Authorization: Bearer SECRET`
--log FILE      appends every POST as one JSON line, and each DELETE as one that ends the session
--hang METHOD   never answers this method

Its tool `echo` answers the value "NaN" with what is no JSON, and "tight NaN" with the same without blanks. Both tools answer
once the file `until` is there, where it is named.

`POST /forget` drops all sessions: later requests of theirs get 404, as the specification has it.
"""
import argparse, json, os, queue, threading, time, uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

parser = argparse.ArgumentParser()
parser.add_argument("--port", type=int, required=True)
parser.add_argument("--status", type=int)
parser.add_argument("--events", action="store_true")
parser.add_argument("--sse", action="store_true")
parser.add_argument("--token")
parser.add_argument("--log")
parser.add_argument("--hang")
options = parser.parse_args()
sessions, guard = set(), threading.Lock()
streams = {}

TOOLS = [
    {"name": name, "description": name, "inputSchema": {"type": "object", "properties": {"value": {}}}}
    for name in ("echo", "pid")
]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_):
        pass

    def written(self, reply):
        nan = (reply.get("result") or {}).get("structuredContent")
        return json.dumps(reply, separators=(",", ":") if nan and nan["tight"] else None).encode()

    def answer(self, status, body=b"", kind="application/json", **headers):
        self.send_response(status)
        if body:
            self.send_header("Content-Type", kind)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        if options.sse:
            return self.stream()
        self.answer(405, Allow="POST, DELETE")

    def stream(self):
        name, events = uuid.uuid4().hex, queue.Queue()
        streams[name] = events
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        self.wfile.write(b"event: endpoint\ndata: /messages/" + name.encode() + b"\n\n")
        while True:
            self.wfile.write(b"event: message\ndata: " + events.get() + b"\n\n")

    def log(self, line):
        if options.log:
            with guard, open(options.log, "a") as log:
                log.write(json.dumps(line) + "\n")

    def do_DELETE(self):
        self.log({"path": self.path, "headers": dict(self.headers), "body": json.dumps({"method": "DELETE"})})
        with guard:
            sessions.discard(self.headers.get("Mcp-Session-Id"))
        self.answer(200)

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path == "/forget":
            with guard:
                sessions.clear()
            return self.answer(200, b"{}")
        self.log({"path": self.path, "headers": dict(self.headers), "body": body.decode()})
        if options.sse and not self.path.startswith("/messages/"):
            return self.answer(405, Allow="GET")
        if options.status:
            return self.answer(options.status, b'{"error":"refused"}', WWW_Authenticate="Bearer")
        if options.token and self.headers.get("Authorization") != "Bearer " + options.token:
            return self.answer(401, b'{"error":"no token"}', WWW_Authenticate="Bearer")
        message = json.loads(body)
        method, ident = message.get("method"), message.get("id")
        if options.sse:
            if ident is not None:
                reply = {"jsonrpc": "2.0", "id": ident, **self.result(method, message.get("params") or {})}
                streams[self.path.rsplit("/", 1)[1]].put(self.written(reply))
            return self.answer(202)
        session, headers = self.headers.get("Mcp-Session-Id"), {}
        if method == "initialize":
            session = uuid.uuid4().hex
            with guard:
                sessions.add(session)
            headers["Mcp_Session_Id"] = session
        elif session is None:
            return self.answer(400, json.dumps({"jsonrpc": "2.0", "id": ident, "error": {"code": -32600, "message": "no session"}}).encode())
        elif session not in sessions:
            return self.answer(404, json.dumps({"jsonrpc": "2.0", "id": ident, "error": {"code": -32001, "message": "Session not found"}}).encode())
        if ident is None:
            return self.answer(202)
        while method == options.hang:
            time.sleep(1)
        reply = self.written({"jsonrpc": "2.0", "id": ident, **self.result(method, message.get("params") or {})})
        if options.events:
            self.answer(200, b"event: message\ndata: " + reply + b"\n\n", "text/event-stream", **headers)
        else:
            self.answer(200, reply, **headers)

    def result(self, method, parameters):
        if method == "initialize":
            return {"result": {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}, "serverInfo": {"name": "http", "version": "1.0.0"}}}
        if method == "tools/list":
            return {"result": {"tools": TOOLS}}
        if method == "ping":
            return {"result": {}}
        if method == "tools/call":
            arguments = parameters.get("arguments") or {}
            while "until" in arguments and not os.path.exists(arguments["until"]):
                time.sleep(0.02)
            text = str(os.getpid()) if parameters["name"] == "pid" else json.dumps(arguments)
            result = {"content": [{"type": "text", "text": text}]}
            if arguments.get("value") in ("NaN", "tight NaN"):
                result = {"structuredContent": {"n": float("nan"), "tight": arguments["value"] == "tight NaN"}, **result}
            return {"result": result}
        return {"error": {"code": -32601, "message": "no such method"}}


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


Server(("127.0.0.1", options.port), Handler).serve_forever()
