#!/usr/bin/env python3
"""Two users of a real Open WebUI behind one key of the gateway: each has a memory that the other never sees.

Usage: open_webui_users.py OPEN_WEBUI MCPO SERVER_MEMORY
The programs `open-webui` (0.12.4), `mcpo` and `mcp-server-memory`. The model that Open WebUI asks is a script here, which calls
the tool that the user names; users, sign-in, headers and calls are Open WebUI's own. Prints a line for each step, and ends with
status 1 where one fails. Needs a minute, and no network.
"""
import contextlib
import http.server
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

SECRET = "a secret of both sides"
PASSWORD = "Secret-1234"


class Model(http.server.BaseHTTPRequestHandler):
    """Calls the tool that stands in the question as `CALL name {arguments}END`, and else repeats what it was told."""

    def log_message(self, *_):
        pass

    def answer(self, value):
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        self.answer({"object": "list", "data": [{"id": "model", "object": "model", "owned_by": "test"}]})

    def do_POST(self):
        messages = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["messages"]
        told = json.dumps(messages)
        wanted = re.search(r"CALL (\w+) (\{.*?\})END", str(messages[-1]["content"]), re.DOTALL)
        content = f"I was told: {told}"
        if wanted and "Available Tools" in told:
            content = json.dumps({"tool_calls": [{"name": wanted[1], "parameters": json.loads(wanted[2])}]})
        choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": content}}
        self.answer({"id": "1", "object": "chat.completion", "created": 1, "model": "model", "choices": [choice]})


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def ask(url, value=None, token=None):
    head = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
    body = None if value is None else json.dumps(value).encode()
    return json.load(urllib.request.urlopen(urllib.request.Request(url, body, head), timeout=60))


def wait_for(url, process, seconds):
    end = time.monotonic() + seconds
    while process.poll() is None and time.monotonic() < end:
        with contextlib.suppress(OSError):
            return urllib.request.urlopen(url, timeout=3).close()
        time.sleep(0.5)
    sys.exit(f"{url} does not answer")


@contextlib.contextmanager
def running(command, log, **options):
    with open(log, "w") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, **options)
        try:
            yield process
        finally:
            process.terminate()
            process.wait()


def main(open_webui, mcpo, memory):
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    model = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Model)
    threading.Thread(target=model.serve_forever, daemon=True).start()
    gateway_port, port = free_port(), free_port()
    key = {"key": "key-of-webui", "openWebUi": {"secret": SECRET, "users": [{}]}}
    server = {"command": memory, "isolation": "user", "env": {"MEMORY_FILE_PATH": f"{folder}/graphs/${{caller}}/memory.jsonl"}}
    config = {
        "port": gateway_port, "mcpServers": {"memory": server},
        "apiKeys": {"open-webui": key, "me": {"key": "key-of-me", "admin": True}},
    }
    (folder / "config.json").write_text(json.dumps(config))
    gateway = running([mcpo, "--config", folder / "config.json", "--state-dir", folder / "state"], folder / "gateway.log")
    base = f"http://127.0.0.1:{gateway_port}"
    wait_for(f"{base}/health", stack.enter_context(gateway), 30)
    grants = [{"principal_type": "user", "principal_id": "*", "permission": "read"}]
    connection = {
        "url": f"{base}/memory", "path": "openapi.json", "type": "openapi", "auth_type": "bearer", "key": "key-of-webui",
        "config": {"enable": True, "access_grants": grants}, "info": {"id": "memory", "name": "memory", "description": "memory"},
    }
    environment = os.environ | {
        "DATA_DIR": f"{folder}/data", "WEBUI_SECRET_KEY": "test", "OFFLINE_MODE": "true", "HF_HUB_OFFLINE": "1",
        "BYPASS_EMBEDDING_AND_RETRIEVAL": "true", "RAG_EMBEDDING_ENGINE": "openai", "ENABLE_OLLAMA_API": "false",
        "OPENAI_API_BASE_URL": f"http://127.0.0.1:{model.server_port}/v1", "OPENAI_API_KEY": "test",
        "BYPASS_MODEL_ACCESS_CONTROL": "true", "TOOL_SERVER_CONNECTIONS": json.dumps([connection]),
        "ENABLE_FORWARD_USER_INFO_HEADERS": "true", "FORWARD_USER_INFO_HEADER_JWT_SECRET": SECRET,
    }
    (folder / "data").mkdir()
    serve = [open_webui, "serve", "--host", "127.0.0.1", "--port", str(port)]
    web = f"http://127.0.0.1:{port}"
    wait_for(f"{web}/health", stack.enter_context(running(serve, folder / "webui.log", env=environment, cwd=folder)), 180)
    print("ok   Open WebUI has started")

    ann = ask(f"{web}/api/v1/auths/signup", {"name": "Ann", "email": "ann@example.test", "password": PASSWORD})["token"]
    new = {"name": "Bob", "email": "bob@example.test", "password": PASSWORD, "role": "user"}
    ask(f"{web}/api/v1/auths/add", new, ann)
    bob = ask(f"{web}/api/v1/auths/signin", {"email": "bob@example.test", "password": PASSWORD})["token"]
    ask(f"{web}/api/models", token=ann)

    def call(token, tool, arguments):
        question = {"role": "user", "content": f"CALL tool_{tool}_post {json.dumps(arguments)}END"}
        chat = {"model": "model", "stream": False, "messages": [question], "tool_ids": ["server:memory"]}
        answer = ask(f"{web}/api/chat/completions", chat | {"params": {"function_calling": "legacy"}}, token)
        return json.loads(answer["sources"][0]["document"][0])

    def graph(token):
        return [entity["name"] for entity in call(token, "read_graph", {})["entities"]]

    for token, what in [(ann, "roses"), (bob, "trains")]:
        entity = {"name": what, "entityType": "fact", "observations": ["of its user alone"]}
        call(token, "create_entities", {"entities": [entity]})
    seen = graph(ann), graph(bob)
    assert seen == (["roses"], ["trains"]), seen
    print("ok   each of two users has a memory of its own")
    listed = ask(f"{base}/servers", token="key-of-me")["servers"][0]
    users = {holder["user"] for holder in listed["holders"]}
    assert users == {"ann@example.test", "bob@example.test"}, listed
    log = (folder / "gateway.log").read_text()
    assert "memory/read_graph ok" in log and "by bob@example.test" in log, log
    print("ok   the gateway names both users in its log and among the holders")


with contextlib.ExitStack() as stack:
    main(*sys.argv[1:])
