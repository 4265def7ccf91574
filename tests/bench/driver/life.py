"""Measurements of a gateway's life: memory, opening the port, servers getting ready, a killed child."""

import contextlib
import json
import os
import signal
import statistics
import time

from . import processes, programs
from .contenders import EXAMPLES, NODE, RUST, TIME, http_entry
from .table import Row, ratios, spread

#: A server that lived this long is restarted at once; before, it waits its back-off.
LIFE = 10.5
#: Slow starters of the port measurement, and how slow, in milliseconds.
SLOW, SLOWNESS = 3, 1000


def stdio_servers(each=3):
    return {
        f"{name}-{index}": server.entry()
        for name, server in (("rust", RUST), ("node", NODE), ("time", TIME))
        for index in range(each)
    }


@contextlib.contextmanager
def thirteen(run):
    """The entries of thirteen servers of five kinds; those over HTTP run for as long."""
    ports = [processes.free_port() for _ in range(4)]
    flags = (["--http"], ["--http"], ["--json", "--http-nodelay"], ["--json", "--http-nodelay"])
    servers = [
        run.processes.start(f"http-{index}", [str(EXAMPLES / "echo-server"), *flag, str(port)])
        for index, (flag, port) in enumerate(zip(flags, ports))
    ]
    for port in ports:
        processes.wait_for(lambda port=port: processes.port_is_open(port), "an HTTP server")
    yield stdio_servers() | {f"http-{index}": http_entry(port) for index, port in enumerate(ports)}
    for server in servers:
        run.processes.stop(server)


def call(one, name):
    """One call to a server of the thirteen."""
    server = TIME if name.startswith("time") else RUST
    status, body = one.post(name, server.tool, server.arguments)
    if status != 200:
        raise programs.Failed(f"{one.contender.label}, {name}: {status} {body[:200]}")


def resident_when_idle(run, contender, servers):
    """Megabytes of the gateway alone, a second after one call to each server."""
    with contender.start(run, servers) as one:
        for name in servers:
            call(one, name)
        time.sleep(1)
        return processes.resident_megabytes(one.pid)


def memory(run):
    """Resident memory of the gateway alone, idle, with thirteen servers."""
    values = {"gateway": [], "mcpo": []}
    with thirteen(run) as servers:
        for contender in run.contenders:
            for _ in range(run.few):
                values[contender.label].append(resident_when_idle(run, contender, servers))
    yield Row(
        "resident memory, 13 servers, idle", "20 MB",
        spread(values["gateway"], "MB"), spread(values["mcpo"], "MB"), "-",
        statistics.median(values["gateway"]) <= 20 if values["gateway"] else None, {"megabytes": values},
    )  # fmt: skip


def port_open(run):
    """From exec to an open port, with servers that are slow to start and one that does not exist."""
    values = {"gateway": [], "mcpo": []}
    servers = {f"slow-{index}": RUST.entry("--start-delay-ms", str(SLOWNESS)) for index in range(SLOW)}
    servers["missing"] = {"command": "/nonexistent/server", "args": []}
    for contender in run.contenders:
        ours = contender.label == "gateway"
        for _ in range(max(run.rounds, 2) if ours else run.few):
            begin = time.monotonic()
            with contender.start(run, servers, wait=False) as one:
                processes.wait_for(one.is_open, "the port to open", pause=0.0005)
                values[contender.label].append((time.monotonic() - begin) * 1000)
    yield Row(
        f"port open after exec, {SLOW} servers that take {SLOWNESS} ms to start, one missing", "100 ms",
        spread(values["gateway"], "ms"), spread(values["mcpo"], "ms"), "-",
        max(values["gateway"]) <= 100 if values["gateway"] else None, {"milliseconds": values},
    )  # fmt: skip


def all_ready(run):
    """Until all servers are ready, against a launcher that starts the same processes at once."""
    values = {"gateway": [], "mcpo": [], "direct": []}
    servers = stdio_servers()
    config = run.work / "launch.json"
    config.write_text(json.dumps({"mcpServers": servers}))
    programs.launch(config)
    for turn in range(run.rounds):
        for contender in run.contenders:
            if contender.label == "mcpo" and turn >= run.few:
                continue
            begin = time.monotonic()
            with contender.start(run, servers) as one:
                values[contender.label].append((time.monotonic() - begin) * 1000)
                del one
        values["direct"].append(programs.launch(config)["all_ms"])
    ratio = ratios(values["gateway"], values["direct"])
    yield Row(
        f"all servers ready ({len(servers)} over stdio)", "1.2 x the launcher",
        f"{spread(values['gateway'], 'ms')}; ratio {spread(ratio)}" if ratio else "-",
        spread(values["mcpo"], "ms"), f"launcher {spread(values['direct'], 'ms')}",
        statistics.median(ratio) <= 1.2 if ratio else None, {"milliseconds": values, "ratio": ratio},
    )  # fmt: skip


def killed(run):
    """`kill -9` of a child: until it answers again, against its own start; and calls to another server."""
    row = Row("`kill -9` of a child: back after", "1.2 x its own start + 100 ms; no other call fails")
    if run.gateway is not None:
        killed_gateway(run, row)
    if run.mcpo is not None:
        killed_mcpo(run, row)
    yield row


def side_load(one, seconds):
    """Steady small calls to the other server, light enough to leave the machine to the restart."""
    return programs.begin_load(
        one.url("other", RUST.tool), RUST.arguments, RUST.expect, 4, seconds, "--pause-ms", 10
    )


def kill_child(one, zone):
    os.kill(processes.child_with_argument(one.pid, zone), signal.SIGKILL)


def killed_gateway(run, row):
    # A time zone each, so that a child is known by its command line; all of them live long enough together.
    zones = [f"Etc/GMT+{index + 1}" for index in range(min(run.rounds, 10))]
    servers = {f"time-{index}": {**TIME.entry(), "args": ["--local-timezone", zone]} for index, zone in enumerate(zones)}
    config = run.work / "launch-one.json"
    config.write_text(json.dumps({"mcpServers": {"time": TIME.entry()}}))
    back, own = [], []
    with run.gateway.start(run, servers | {"other": RUST.entry()}) as one:
        time.sleep(LIFE)
        load = side_load(one, len(zones) * 3)
        for index, zone in enumerate(zones):
            own.append(programs.launch(config)["all_ms"])
            kill_child(one, zone)
            begin = time.monotonic()
            answers = lambda: one.post(f"time-{index}", TIME.tool, TIME.arguments)[0] == 200
            processes.wait_for(answers, f"time-{index} to be back", 30)
            back.append((time.monotonic() - begin) * 1000)
        report = programs.finish(load, len(zones) * 3 + 30)
    over = [it - (1.2 * start + 100) for it, start in zip(back, own)]
    total = report["calls"] + report["errors"]
    row.gateway = f"{spread(back, 'ms')}; {report['errors']:,} of {total:,} other calls failed"
    row.direct = f"own start {spread(own, 'ms')}"
    row.reached = statistics.median(over) <= 0 and report["errors"] == 0
    row.values |= {"back_ms": back, "own_start_ms": own, "other": report}


def killed_mcpo(run, row):
    back, bad, total, missed = [], 0, 0, 0
    for _ in range(run.few):
        with run.mcpo.start(run, {"time": TIME.entry(), "other": RUST.entry()}) as one:
            load = side_load(one, 6)
            time.sleep(1)
            kill_child(one, "--local-timezone")
            begin = time.monotonic()
            answers = lambda one=one: one.post("time", TIME.tool, TIME.arguments, timeout=2)[0] == 200
            try:
                processes.wait_for(answers, "the killed server to be back", 4, pause=0.02)
                back.append((time.monotonic() - begin) * 1000)
            except RuntimeError:
                missed += 1
            report = programs.finish(load, 40)
            bad += report["errors"]
            total += report["calls"] + report["errors"]
    never = f", {missed} times not within 4 s" if missed else ""
    row.mcpo = f"{spread(back, 'ms')}{never}; {bad:,} of {total:,} other calls failed"
    row.values |= {"mcpo_back_ms": back, "mcpo_not_back": missed, "mcpo_other": [bad, total]}
