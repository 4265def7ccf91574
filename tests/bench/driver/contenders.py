"""The contenders and the servers they are measured with.

Both gateways take the same configuration file and answer `POST /{server}/{tool}`, so a contender is a command
line and a way to see that its servers are ready.
"""

import json
import os
import pathlib
import shutil
import tempfile
from dataclasses import dataclass

from . import processes

ROOT = pathlib.Path(__file__).resolve().parents[3]
WORK = ROOT / "tests" / ".work"
#: `release`, or `debug` for builds that are only to show that the benchmark works.
PROFILE = os.environ.get("BENCH_PROFILE", "release")
TARGET = ROOT / "target" / PROFILE
EXAMPLES = TARGET / "examples"
API_KEY = "a-key-for-the-benchmark"
BEARER = f"Bearer {API_KEY}"


@dataclass(frozen=True)
class Server:
    """A kind of server: how it is started, and one small call that it answers."""

    kind: str
    command: tuple
    tool: str
    arguments: str
    expect: str

    def entry(self, *more):
        """Its entry in a configuration, with further arguments."""
        return {"command": self.command[0], "args": [*self.command[1:], *more]}


RUST = Server(
    "Rust echo server", (str(EXAMPLES / "echo-server"),), "echo", '{"message":"hello bench"}', "hello bench"
)
#: Answers from prebuilt bytes, so that a big result costs the server next to nothing.
RAW = Server(
    "hand-written server", (str(EXAMPLES / "raw-server"),), "echo", '{"message":"hello bench"}', "hello bench"
)
NODE = Server(
    "Node server-everything",
    (
        shutil.which("node") or "node",
        str(WORK / "node/node_modules/@modelcontextprotocol/server-everything/dist/index.js"),
        "stdio",
    ),
    "echo",
    '{"message":"hello bench"}',
    "hello bench",
)
TIME = Server(
    "Python time server",
    (str(WORK / "python/bin/mcp-server-time"), "--local-timezone", "UTC"),
    "get_current_time",
    '{"timezone":"UTC"}',
    "UTC",
)


def http_entry(port):
    return {"type": "streamable-http", "url": f"http://127.0.0.1:{port}/mcp"}


class Contender:
    """A gateway that can be started with a configuration."""

    def __init__(self, label, binary):
        self.label = label
        self.binary = binary

    def start(self, run, servers, wait=True, more=None):
        """Start with these servers and `more` settings; with `wait`, return when all of them are ready."""
        return Running(self, run, servers, wait, more or {})


class Gateway(Contender):
    """This gateway: `GET /servers` says what is ready."""

    def is_ready(self, running):
        status, body = processes.request(running.port, "GET", "/servers", headers=running.headers)
        states = [server["state"] for server in json.loads(body)["servers"]] if status == 200 else []
        return len(states) >= len(running.servers) and all(state == "ready" for state in states)


class PythonMcpo(Contender):
    """Python mcpo: opens its port once every server is up."""

    def is_ready(self, running):
        return processes.port_is_open(running.port)


class Running:
    """A started contender."""

    def __init__(self, contender, run, servers, wait, more):
        self.contender = contender
        self.run = run
        self.servers = servers
        self.port = processes.free_port()
        self.headers = {"Authorization": BEARER}
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="contender-", dir=run.work))
        config = self.directory / "config.json"
        config.write_text(json.dumps({"mcpServers": servers, **more}))
        # A state directory of its own: nothing is known from an earlier start.
        # The caller's own settings of either gateway stay out.
        env = {name: value for name, value in os.environ.items() if not name.startswith("MCPO_")}
        env |= {"XDG_STATE_HOME": str(self.directory), "STATE_DIRECTORY": str(self.directory)}
        command = [
            str(contender.binary), "--host", "127.0.0.1", "--port", str(self.port),
            "--api-key", API_KEY, "--config", str(config),
        ]  # fmt: skip
        self.process = run.processes.start(contender.label.replace(" ", "-"), command, env)
        self.pid = self.process.pid
        if wait:
            self.wait_ready()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def wait_ready(self):
        what = f"{self.contender.label} on port {self.port} to have {len(self.servers)} servers ready"
        processes.wait_for(self.is_ready, what)

    def is_ready(self):
        self.check_alive()
        return self.contender.is_ready(self)

    def is_open(self):
        self.check_alive()
        return processes.port_is_open(self.port)

    def check_alive(self):
        if self.process.poll() is not None:
            raise RuntimeError(f"{self.contender.label} exited with {self.process.returncode}")

    def post(self, server, tool, arguments, timeout=15):
        headers = {**self.headers, "Content-Type": "application/json"}
        return processes.request(self.port, "POST", f"/{server}/{tool}", arguments, headers, timeout)

    def url(self, server, tool):
        return f"http://127.0.0.1:{self.port}/{server}/{tool}"

    def stop(self):
        self.run.processes.stop(self.process)
        shutil.rmtree(self.directory, ignore_errors=True)
