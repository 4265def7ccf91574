#!/usr/bin/env python3
"""Renews the picture of the status page in the README.

    screenshot.py [--mcpo PROGRAM] [FILE]

Starts a gateway before the real servers of `tests/run --provision` and one that is not there, calls some of their tools, and
saves what Chromium shows as FILE (src/web/screenshot.png).
"""

import argparse
import json
import pathlib
import socket
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request

sys.dont_write_bytecode = True
from chromium import run, until  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]
PYTHON, NODE = ROOT / "tests/.work/python/bin", ROOT / "tests/.work/node/node_modules/.bin"
CALLS = [("time/get_current_time", {"timezone": "Europe/Paris"})] * 12 + [
    ("time/convert_time", {"source_timezone": "UTC", "time": "12:00", "target_timezone": "Asia/Tokyo"}),
    ("time/get_current_time", {"timezone": "Mars/Olympus"}),
    ("memory/read_graph", {}),
    ("memory/search_nodes", {"query": "gateway"}),
    ("everything/echo", {"message": "hello"}),
    ("everything/get-sum", {"a": 2, "b": 3}),
]


def servers(folder):
    """Called by their names, as an installed server is."""
    return {
        "time": {"command": str(PYTHON / "mcp-server-time"), "args": ["--local-timezone=UTC"]},
        "context7": {"command": str(NODE / "context7-mcp")},
        "memory": {"command": str(NODE / "mcp-server-memory"), "env": {"MEMORY_FILE_PATH": f"{folder}/memory.json"}},
        "everything": {"command": str(NODE / "mcp-server-everything")},
        "grafana": {"type": "http", "url": "http://localhost:9/mcp"},
    }


def call(base, path, arguments):
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(f"{base}/{path}", json.dumps(arguments).encode(), headers, method="POST")
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        opener.open(request, timeout=60).close()
    except urllib.error.HTTPError as error:
        # One of the calls is to fail.
        error.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("file", nargs="?", default=ROOT / "src/web/screenshot.png")
    parser.add_argument("--mcpo", default=ROOT / "target/debug/mcpo")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mcpo-screenshot-") as folder, socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.close()
        base = f"http://127.0.0.1:{port}"
        config = pathlib.Path(folder, "config.json")
        config.write_text(json.dumps({"mcpServers": servers(folder)}))
        command = [options.mcpo, "--port", str(port), "--config", config, "--state-dir", f"{folder}/state"]
        gateway = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        try:
            return run(lambda browser: picture(browser, base, options.file))
        finally:
            gateway.terminate()
            gateway.wait()


def picture(browser, base, file):
    browser.look(1080, 1000)
    browser.devtools("Emulation.setScrollbarsHidden", hidden=True)
    until(lambda: opened(browser, base), "the gateway answers")
    until(lambda: browser.text("#view h1") == "4 of 5 servers ready", "the servers are ready", 90)
    for path, arguments in CALLS:
        call(base, path, arguments)
    until(lambda: (browser.text("[data-server=everything] .facts div:nth-child(2) dd") or "") == "2", "the calls are counted")
    browser.screenshot(file)
    size = pathlib.Path(file).stat().st_size
    print(f"{file}: {size} bytes")
    return [f"{file} has {size} bytes; at most 200,000 belong into the README"] if size > 200_000 else []


def opened(browser, base):
    try:
        urllib.request.build_opener(urllib.request.ProxyHandler({})).open(base + "/health", timeout=5).close()
    except OSError:
        return False
    browser.open(base + "/")
    return True


if __name__ == "__main__":
    sys.exit(main())
