"""Measurements of calls: rate, CPU time, latency, Nagle, size, and big results."""

import contextlib
import statistics
import time
from dataclasses import replace

from . import instructions, processes, programs
from .contenders import EXAMPLES, NODE, RAW, RUST, TIME, http_entry
from .table import Row, number, ratios, spread

#: Rows of the big structured result: the server's line is then a little over one megabyte.
BIG_ROWS = 10_000
BIG = ("structured", f'{{"rows":{BIG_ROWS}}}', f"{BIG_ROWS} rows")
WHOLE_RESULT = ("--header", "Accept: application/vnd.mcp.call-result+json")


def rotated(items, turn):
    """The same items, beginning with another one in each round."""
    turn %= len(items)
    return items[turn:] + items[:turn]


@contextlib.contextmanager
def started(run, servers, tools):
    """All contenders with the same servers, each warmed up on these (server, tool) calls."""
    with contextlib.ExitStack() as stack:
        running = [
            (contender.label, stack.enter_context(contender.start(run, servers)))
            for contender in run.contenders
        ]
        for _, one in running:
            for name, server in tools:
                programs.load(one.url(name, server.tool), server.arguments, server.expect, 4, 0.5)
        yield running


def throughput(run, server, reach, wanted, baseline="mcpo"):
    """Calls per second at 32 connections, and the gateway's CPU time per call in the same calls."""
    rates = {"gateway": [], "mcpo": [], "direct": []}
    cpu = {"gateway": [], "mcpo": []}
    with started(run, {"bench": server.entry()}, [("bench", server)]) as running:
        for turn in range(run.rounds):
            for label, one in rotated([*running, ("direct", None)], turn):
                if one is None:
                    rates[label].append(programs.direct(server, 32, run.seconds)["rate"])
                    continue
                before = processes.cpu_seconds(one.pid)
                url = one.url("bench", server.tool)
                report = programs.load(url, server.arguments, server.expect, 32, run.seconds)
                spent = processes.cpu_seconds(one.pid) - before
                rates[label].append(report["rate"])
                cpu[label].append(spent / report["calls"] * 1e6)
    against = ratios(rates["gateway"], rates[baseline])
    return rates, cpu, Row(
        f"calls/s at 32 connections, {server.kind} over stdio",
        reach,
        spread(rates["gateway"]) + (f"; ratio {spread(against)}" if against else ""),
        spread(rates["mcpo"]),
        spread(rates["direct"]),
        statistics.median(against) >= wanted if against else None,
        {"rates": rates, "ratio": against},
    )


def rust_throughput(run):
    _, cpu, row = throughput(run, RUST, "20 x mcpo", 20)
    reached = statistics.median(cpu["gateway"]) <= 30 if cpu["gateway"] else None
    yield row
    yield Row(
        "gateway CPU per small stdio call (same calls)", "30 us",
        spread(cpu["gateway"], "us"), spread(cpu["mcpo"], "us"), "-", reached, {"cpu_us": cpu},
    )  # fmt: skip


def node_throughput(run):
    yield throughput(run, NODE, "12 x mcpo", 12)[2]


def time_throughput(run):
    yield throughput(run, TIME, "0.95 x direct", 0.95, "direct")[2]
    # Its threads share no core with the gateway and the callers: what is left is the gateway's own part.
    with processes.one_core_apart() as core:
        apart = replace(TIME, kind=f"{TIME.kind} on a core of its own", command=("taskset", "-c", str(core), *TIME.command))
        yield throughput(run, apart, "0.95 x direct", 0.95, "direct")[2]


def small_answer(gateway):
    """The body of the answer to a small call of this gateway."""
    status, answer = gateway.post("bench", RUST.tool, RUST.arguments)
    if status != 200:
        raise programs.Failed(f"the gateway answered with status {status}: {answer[:200]!r}")
    return answer


@contextlib.contextmanager
def bare_server(run, answer, work=0):
    """A server that sends this answer; `work` are the nanoseconds that it takes besides."""
    port = processes.free_port()
    command = [str(EXAMPLES / "bench-constant"), "--port", str(port), "--answer", answer.decode(), "--work", str(work)]
    process = run.processes.start("constant", command)
    processes.wait_for(lambda: processes.port_is_open(port), "the bare server")
    try:
        yield process.pid, port
    finally:
        run.processes.stop(process)


def constant(run):
    """The gateway's CPU time of a small call, as a multiple of what an axum handler takes for a constant answer."""
    if run.gateway is None:
        return
    cpu = {"gateway": [], "constant": []}
    with run.gateway.start(run, {"bench": RUST.entry()}) as one:
        with bare_server(run, small_answer(one)) as (handler, port):
            path = f"/bench/{RUST.tool}"
            sides = [("gateway", one.pid, one.port), ("constant", handler, port)]
            for turn in range(-1, run.rounds):
                for label, pid, at in rotated(sides, turn):
                    before = processes.thread_seconds(pid)
                    url = f"http://127.0.0.1:{at}{path}"
                    report = programs.load(url, RUST.arguments, RUST.expect, 32, run.seconds)
                    if turn >= 0:  # The first turn warms up.
                        cpu[label].append(processes.seconds_since(pid, before) / report["calls"] * 1e6)
    ratio = ratios(cpu["gateway"], cpu["constant"])
    yield Row(
        "gateway CPU per small stdio call, against an axum handler with a constant answer", "1.8 x the handler",
        f"{spread(cpu['gateway'], 'us')}; ratio {spread(ratio)}", "-", f"handler {spread(cpu['constant'], 'us')}",
        statistics.median(ratio) <= 1.8, {"cpu_us": cpu, "ratio": ratio},
    )  # fmt: skip


def latency(run):
    """Latency at one connection, the p50 of each round against the direct p50 of that round."""
    p50 = {"gateway": [], "mcpo": [], "direct": []}
    seconds = min(run.seconds, 1)
    with started(run, {"bench": RUST.entry()}, [("bench", RUST)]) as running:
        for turn in range(run.rounds):
            for label, one in rotated([*running, ("direct", None)], turn):
                if one is None:
                    report = programs.direct(RUST, 1, seconds)
                else:
                    url = one.url("bench", RUST.tool)
                    report = programs.load(url, RUST.arguments, RUST.expect, 1, seconds)
                p50[label].append(report["p50_us"])
    added = {
        label: [one - floor for one, floor in zip(p50[label], p50["direct"])] for label in ("gateway", "mcpo")
    }
    yield Row(
        "latency added at 1 connection (p50), Rust echo server over stdio", "100 us",
        spread(added["gateway"], "us"), spread(added["mcpo"], "us"),
        f"{spread(p50['direct'], 'us')} in all",
        statistics.median(added["gateway"]) <= 100 if added["gateway"] else None,
        {"p50_us": p50, "added_us": added},
    )  # fmt: skip


def nagle(run):
    """A streamable HTTP server that leaves Nagle's algorithm on, at 1 and at 32 connections."""
    port = processes.free_port()
    server = run.processes.start("nagle-server", [str(EXAMPLES / "echo-server"), "--http", str(port)])
    processes.wait_for(lambda: processes.port_is_open(port), "the HTTP server with Nagle on")
    seconds = min(run.seconds, 1)
    rates = {c: {"gateway": [], "mcpo": [], "direct": []} for c in (1, 32)}
    p99 = {1: [], 32: []}
    with started(run, {"nagle": http_entry(port)}, [("nagle", RUST)]) as running:
        for turn in range(run.rounds):
            for connections in (1, 32):
                for label, one in rotated([*running, ("direct", None)], turn):
                    if one is None:
                        url = f"http://127.0.0.1:{port}/mcp"
                        report = programs.mcp_load(url, RUST, connections, seconds)
                    else:
                        url = one.url("nagle", RUST.tool)
                        report = programs.load(url, RUST.arguments, RUST.expect, connections, seconds)
                    rates[connections][label].append(report["rate"])
                    if label == "gateway":
                        p99[connections].append(report["p99_us"] / 1000)
    run.processes.stop(server)
    for connections, reach in ((1, "no 40 ms stall: 1,000 calls/s"), (32, "no 40 ms stall")):
        here = rates[connections]
        fast = here["gateway"] and statistics.median(here["gateway"]) >= 1000
        stalled = here["gateway"] and statistics.median(p99[connections]) >= 40
        yield Row(
            f"HTTP server with Nagle on, c = {connections}, calls/s", reach,
            f"{spread(here['gateway'])}; p99 {spread(p99[connections], 'ms')}" if here["gateway"] else "-",
            spread(here["mcpo"]), spread(here["direct"]),
            bool(fast and not stalled) if here["gateway"] else None,
            {"rates": here, "p99_ms": p99[connections]},
        )  # fmt: skip


def size(run):
    """What a call costs the gateway with 10,000 tools against 10; instructions where the machine counts them."""
    if run.gateway is None:
        return
    counts, costs = (10, 10_000), {10: [], 10_000: []}
    counted = instructions.supported()
    with contextlib.ExitStack() as stack:
        gateways = []
        for count in counts:
            servers = {"bench": RUST.entry("--tools", str(count))}
            one = stack.enter_context(run.gateway.start(run, servers))
            url = one.url("bench", f"tool_{count - 1:05}")
            programs.load(url, RUST.arguments, RUST.expect, 4, 0.5)
            gateways.append((count, one, url))
        for turn in range(run.rounds):
            for count, one, url in rotated(gateways, turn):
                meter = instructions.Meter(one.pid) if counted else None
                before = processes.cpu_seconds(one.pid)
                report = programs.load(url, RUST.arguments, RUST.expect, 32, run.seconds)
                spent = meter.stop() if meter else (processes.cpu_seconds(one.pid) - before) * 1e6
                costs[count].append(spent / report["calls"])
    ratio = ratios(costs[10_000], costs[10])
    unit = "instructions" if counted else "us of CPU (this machine counts no instructions)"
    yield Row(
        "cost of size: per call with 10,000 tools, against 10", "within 5 %",
        f"{spread(costs[10_000])} against {spread(costs[10])} {unit}; ratio {spread(ratio)}",
        reached=abs(statistics.median(ratio) - 1) <= 0.05, values={"costs": costs, "ratio": ratio},
    )  # fmt: skip


def big_result(run):
    """A structured result of one megabyte: its CPU time against a plain relay, and what it does to other calls."""
    if run.gateway is None:
        return
    tool, arguments, expect = BIG
    port = processes.free_port()
    relay = run.processes.start(
        "relay",
        [str(EXAMPLES / "bench-relay"), "--port", str(port), "--tool", tool, "--arguments", arguments,
         "--", *RAW.command],
    )  # fmt: skip
    processes.wait_for(lambda: processes.port_is_open(port), "the relay")
    seconds = min(run.seconds, 1.5)
    cpu = {"gateway": [], "relay": []}
    alone, beside, floor = [], [], []
    with run.gateway.start(run, {"bench": RAW.entry()}) as one:
        big, small = one.url("bench", tool), one.url("bench", RAW.tool)
        relayed = f"http://127.0.0.1:{port}/"
        sides = [("gateway", one.pid, big, WHOLE_RESULT), ("relay", relay.pid, relayed, ())]
        for _, _, url, more in sides:
            programs.load(url, arguments, expect, 1, 0.5, *more)
        for turn in range(run.rounds):
            for label, pid, url, more in rotated(sides, turn):
                before = processes.cpu_seconds(pid)
                report = programs.load(url, arguments, expect, 1, seconds, *more)
                cpu[label].append((processes.cpu_seconds(pid) - before) / report["calls"] * 1e6)
            alone.append(programs.load(small, RAW.arguments, RAW.expect, 1, 0.5)["p99_us"])
            load = programs.begin_load(big, arguments, expect, 1, 1.0, *WHOLE_RESULT)
            time.sleep(0.2)
            beside.append(programs.load(small, RAW.arguments, RAW.expect, 1, 0.6)["p99_us"])
            programs.checked(programs.finish(load, 30), "the big results")
            more = ("--beside", tool, "--beside-arguments", arguments)
            floor.append(programs.direct(RAW, 1, 0.6, *more)["p99_us"])
    run.processes.stop(relay)
    ratio = ratios(cpu["gateway"], cpu["relay"])
    yield Row(
        "1 MB structured result: CPU per call, against a plain relay", "2 x the relay",
        f"{spread(cpu['gateway'], 'us')}; ratio {spread(ratio)}", "loses the rows",
        f"relay {spread(cpu['relay'], 'us')}", statistics.median(ratio) <= 2,
        {"cpu_us": cpu, "ratio": ratio},
    )  # fmt: skip
    yield Row(
        "small calls (p99) beside 1 MB results of the same server", "no noticeable delay over direct",
        f"{spread(beside, 'us')}; alone {number(statistics.median(alone))} us", "-",
        f"{spread(floor, 'us')} beside the same", None,
        {"alone_us": alone, "beside_us": beside, "direct_us": floor},
    )  # fmt: skip
