"""Small calls over MCP, in both eras and on both endpoints, beside REST, direct calls and other MCP proxies."""

import contextlib
import functools
import statistics

from . import processes, programs
from .calls import rotated
from .contenders import RUST
from .table import Row, ratios, spread

#: What is to be reached at 32 connections: of our own REST rate, of the faster proxy's rate, and of its p99.
OF_REST, OF_PROXY, OF_P99 = 0.8, 1.3, 0.5


def rest(one, connections, seconds):
    return programs.load(one.url("bench", RUST.tool), RUST.arguments, RUST.expect, connections, seconds)


def over_mcp(path, tool, *more):
    return lambda one, connections, seconds: programs.mcp_load(
        f"http://127.0.0.1:{one.port}{path}", RUST, connections, seconds,
        "--header", f"Authorization: {one.headers['Authorization']}", *more, tool=tool,
    )  # fmt: skip


#: How the gateway is called: a title, and a call that takes the running gateway, connections and seconds.
WAYS = [
    ("REST", rest),
    ("`/mcp`, session", over_mcp("/mcp", "bench_echo")),
    ("`/mcp`, 2026-07-28", over_mcp("/mcp", "bench_echo", "--mcp-stateless")),
    ("`/bench/mcp`, session", over_mcp("/bench/mcp", "echo")),
    ("`/bench/mcp`, 2026-07-28", over_mcp("/bench/mcp", "echo", "--mcp-stateless")),
]


def mcp(run):
    """Rates and latencies at 1 and at 32 connections; every way and contender in each round."""
    with contextlib.ExitStack() as stack:
        sides = [("direct", None, lambda connections, seconds: programs.direct(RUST, connections, seconds))]
        ours = []
        if run.gateway is not None:
            one = stack.enter_context(run.gateway.start(run, {"bench": RUST.entry()}))
            ours = [(name, one.pid, functools.partial(call, one)) for name, call in WAYS]
        proxies = [stack.enter_context(proxy.start(run, RUST)) for proxy in run.proxies]
        sides += ours + [(one.label, one.pid, one.load) for one in proxies]
        for name, _, call in sides:
            if name != "direct":
                call(4, 0.5)
        names = [name for name, _, _ in sides]
        reports = {count: {name: [] for name in names} for count in (32, 1)}
        cpu = {name: [] for name in names if name != "direct"}
        for turn in range(run.rounds):
            for connections, seconds in ((32, run.seconds), (1, min(run.seconds, 1) / 2)):
                for name, pid, call in rotated(sides, turn):
                    before = processes.cpu_seconds(pid) if pid else 0
                    report = call(connections, seconds)
                    reports[connections][name].append(report)
                    if pid and connections == 32:
                        cpu[name].append((processes.cpu_seconds(pid) - before) / report["calls"] * 1e6)
    ours, proxies = [name for name, _, _ in ours], [one.label for one in proxies]
    for connections in (32, 1):
        yield from rows(connections, reports[connections], ours, proxies)
    yield Row(
        "CPU per small call at 32 connections (same calls)", "-",
        "; ".join(f"{name}: {spread(cpu[name], 'us')}" for name in ours) or "-",
        proxies="; ".join(f"{name}: {spread(cpu[name], 'us')}" for name in proxies) or "-",
        values={"cpu_us": cpu},
    )  # fmt: skip


def rows(connections, reports, ours, proxies):
    """One row for each way to call the gateway; the first one carries what all are compared with."""
    rates = {name: [report["rate"] for report in reports[name]] for name in reports}
    p99 = {name: [report["p99_us"] for report in reports[name]] for name in reports}
    faster = max(proxies, key=lambda name: statistics.median(rates[name]), default=None)
    what = f"small calls at {connections} connection{'s' if connections > 1 else ''}"
    yield Row(
        f"{what}: REST, beside the rows below", "-", seen(reports["REST"]) if ours else "-",
        direct=seen(reports["direct"]),
        proxies="; ".join(f"{name}: {seen(reports[name])}" for name in proxies) or "-",
        values={"reports": reports},
    )  # fmt: skip
    for name in ours[1:]:
        of_rest = ratios(rates[name], rates["REST"])
        cell = f"{seen(reports[name])}; {spread(of_rest)} of REST"
        reached = statistics.median(of_rest) >= OF_REST
        values = {"of_rest": of_rest}
        if faster:
            values |= {"of_rate": ratios(rates[name], rates[faster]), "of_p99": ratios(p99[name], p99[faster])}
            cell += f", {spread(values['of_rate'])} x {faster}, p99 {spread(values['of_p99'])} of its"
            reached &= statistics.median(values["of_rate"]) >= OF_PROXY
            reached &= statistics.median(values["of_p99"]) <= OF_P99
        is_judged = connections == 32
        reach = f"{OF_REST} of REST; {OF_PROXY} x the faster proxy, half its p99" if is_judged else "-"
        # Which proxy is the faster one is known when both are there.
        verdict = reached if is_judged and len(proxies) == 2 else None
        yield Row(f"{what}: {name}", reach, cell, reached=verdict, values=values)


def seen(reports):
    """Rate, and the medians of the rounds' latencies."""
    p50, p99 = (statistics.median(report[key] for report in reports) for key in ("p50_us", "p99_us"))
    rate = spread([report["rate"] for report in reports])
    return f"{rate} calls/s, p50 {p50 / 1000:.2f} ms, p99 {p99 / 1000:.2f} ms"
