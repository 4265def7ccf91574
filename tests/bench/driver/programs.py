"""Calls the measuring programs (`bench-load`, `bench-direct`) and reads their JSON."""

import json
import subprocess

from .contenders import BEARER, EXAMPLES


#: Begun and not finished yet.
ACTIVE = []


class Failed(RuntimeError):
    """A measurement with wrong answers is not a measurement."""


def finish(process, timeout):
    """Wait for a measuring program and return its JSON object."""
    try:
        out, err = process.communicate(timeout=timeout)
        ACTIVE.remove(process)
    except subprocess.TimeoutExpired:
        raise Failed(f"{process.args[0]} did not end within {timeout} s") from None
    if process.returncode != 0:
        raise Failed(f"{process.args[0]} failed: {err.decode(errors='replace')[-500:]}")
    return json.loads(out)


def begin(name, *arguments):
    command = [str(EXAMPLES / name), *map(str, arguments)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    ACTIVE.append(process)
    return process


def stop_all():
    """End what a failed measurement left behind."""
    while ACTIVE:
        process = ACTIVE.pop()
        process.kill()
        process.communicate()


def checked(report, what):
    if report["errors"] or not report["calls"]:
        raise Failed(f"{what}: {report['errors']} wrong answers of {report['calls']}: {report['first_error']}")
    return report


def load_arguments(url, body, expect, connections, seconds, *more, bearer=BEARER):
    return (
        "--url", url, "--body", body, "--expect", expect, "--connections", connections,
        "--seconds", seconds, "--header", f"Authorization: {bearer}", *more,
    )  # fmt: skip


def begin_load(url, body, expect, connections, seconds, *more, bearer=BEARER):
    return begin("bench-load", *load_arguments(url, body, expect, connections, seconds, *more, bearer=bearer))


def load(url, body, expect, connections, seconds, *more, bearer=BEARER):
    process = begin_load(url, body, expect, connections, seconds, *more, bearer=bearer)
    return checked(finish(process, seconds + 30), url)


def mcp_load(url, server, connections, seconds, *more, tool=None):
    """Calls of an MCP endpoint over streamable HTTP, in sessions unless `more` says otherwise."""
    process = begin(
        "bench-load", "--url", url, "--mcp-tool", tool or server.tool,
        "--body", server.arguments, "--expect", server.expect,
        "--connections", connections, "--seconds", seconds, *more,
    )  # fmt: skip
    return checked(finish(process, seconds + 30), url)


def direct(server, concurrency, seconds, *more):
    """Direct calls of a stdio server, started for this and warmed up."""
    process = begin(
        "bench-direct", "calls", "--tool", server.tool, "--arguments", server.arguments,
        "--expect", server.expect, "--concurrency", concurrency, "--seconds", seconds,
        "--warmup", min(seconds / 2, 0.5), *more, "--", *server.command,
    )  # fmt: skip
    return checked(finish(process, seconds + 30), f"direct calls of the {server.kind}")


def launch(config):
    """Start all servers of a configuration file at once: milliseconds until each had listed its tools."""
    return finish(begin("bench-direct", "launch", config), 60)
