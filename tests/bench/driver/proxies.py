"""Other MCP proxies in front of the same stdio server, as streamable HTTP at a loopback port.

Each is set up as its own documentation shows first. `mcp-proxy` asks for a bearer token, as the gateway does;
fastmcp's command line knows none, which spares it that work.
"""

import json
import pathlib
import shutil
import tempfile

from . import processes, programs
from .contenders import API_KEY, BEARER


class Proxy:
    """A proxy that can be started in front of one server."""

    def __init__(self, label, binary):
        self.label = label
        self.binary = binary

    def start(self, run, server):
        return RunningProxy(self, run, server)


class McpProxy(Proxy):
    """The Rust proxy `mcp-proxy`: a TOML file; tools are named after their backend."""

    path = "/"
    tool_prefix = "bench_"
    headers = ("--header", f"Authorization: {BEARER}")

    def command(self, directory, port, server):
        config = directory / "proxy.toml"
        # JSON strings and arrays of strings are TOML as well.
        config.write_text(
            "[proxy]\n"
            'name = "bench"\n'
            'separator = "_"\n'
            f'listen = {{ host = "127.0.0.1", port = {port} }}\n'
            "[[backends]]\n"
            'name = "bench"\n'
            'transport = "stdio"\n'
            f"command = {json.dumps(server.command[0])}\n"
            f"args = {json.dumps(list(server.command[1:]))}\n"
            "[auth]\n"
            'type = "bearer"\n'
            f"tokens = [{json.dumps(API_KEY)}]\n"
        )
        return [str(self.binary), "--config", str(config)]


class FastMcp(Proxy):
    """fastmcp's command line, as a proxy of a configuration with one server."""

    path = "/mcp"
    tool_prefix = ""
    headers = ()

    def command(self, directory, port, server):
        config = directory / "mcp.json"
        config.write_text(json.dumps({"mcpServers": {"bench": server.entry()}}))
        return [
            str(self.binary), "run", str(config), "--transport", "http", "--no-banner",
            "--host", "127.0.0.1", "--port", str(port),
        ]  # fmt: skip


class RunningProxy:
    """A started proxy; it is left as a context manager."""

    def __init__(self, proxy, run, server):
        self.proxy, self.run, self.server = proxy, run, server
        self.label = proxy.label
        self.port = processes.free_port()
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="proxy-", dir=run.work))
        command = proxy.command(self.directory, self.port, server)
        self.process = run.processes.start(proxy.label.replace(" ", "-"), command)
        self.pid = self.process.pid
        processes.wait_for(self.is_open, f"{proxy.label} to open port {self.port}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.run.processes.stop(self.process)
        shutil.rmtree(self.directory, ignore_errors=True)

    def is_open(self):
        if self.process.poll() is not None:
            raise RuntimeError(f"{self.label} exited with {self.process.returncode}")
        return processes.port_is_open(self.port)

    def load(self, connections, seconds):
        """The same calls as the gateway's, in sessions."""
        url = f"http://127.0.0.1:{self.port}{self.proxy.path}"
        tool = self.proxy.tool_prefix + self.server.tool
        return programs.mcp_load(url, self.server, connections, seconds, *self.proxy.headers, tool=tool)
