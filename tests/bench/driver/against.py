"""Two builds of the gateway in one run: each figure of the one against the other's of the same round."""

import contextlib
import math
import statistics
from dataclasses import dataclass, field

from . import life, processes, programs
from .calls import BIG, WHOLE_RESULT, rotated
from .contenders import NODE, RAW, RUST
from .mcp import WAYS
from .table import number

#: Fewer rounds give no interval worth the name.
LEAST_ROUNDS = 20
#: What a change may cost: the ratio of CPU time a call, and of latency.
MOST = 1.03
NEW, OLD = "new", "old"


@dataclass
class Figure:
    """One quantity of both builds, a value for each round."""

    what: str
    unit: str
    #: Judged by `MOST`; a rate is shown alone, since more of it is better.
    is_cost: bool = True
    values: dict = field(default_factory=lambda: {NEW: [], OLD: []})

    def ratios(self):
        return [new / old for new, old in zip(self.values[NEW], self.values[OLD]) if old]


def interval(values):
    """The 95 % interval of the median, from the order of the values alone (the sign test's), and its middle."""
    values, count = sorted(values), len(values)
    below, outside = 0, 0.0
    while below < count // 2:
        outside += math.comb(count, below) / 2**count
        if outside > 0.025:
            break
        below += 1
    first = max(below - 1, 0)
    return values[first], statistics.median(values), values[count - 1 - first]


def verdict(low, middle, high):
    if low < 1 and high > MOST:
        return "undecided"
    return "yes" if middle <= MOST else "**no**"


def markdown(figures):
    lines = [f"| what | new | old | new : old, median (95 % interval) | at most {MOST} |", "|---|---|---|---|---|"]
    for figure in figures:
        low, middle, high = interval(figure.ratios())
        new, old = (number(statistics.median(figure.values[side])) for side in (NEW, OLD))
        judged = verdict(low, middle, high) if figure.is_cost else "-"
        unit = f" {figure.unit}" if figure.unit else ""
        ratio = f"{middle:.3f} ({low:.3f} to {high:.3f})"
        lines.append(f"| {figure.what} | {new}{unit} | {old}{unit} | {ratio} | {judged} |")
    return "\n".join(lines)


def started(run, servers):
    """For each round the two builds with the same servers, both started anew: how a process happens to lie in memory is
    worth several percent, and stays with it."""
    for turn in range(run.rounds):
        with contextlib.ExitStack() as stack:
            sides = rotated([(NEW, run.gateway), (OLD, run.against)], turn)
            yield [(side, stack.enter_context(gateway.start(run, servers))) for side, gateway in sides]


def cpu_of(one, call, connections, seconds):
    """The CPU time of a call in microseconds, and the report of all of them."""
    before = processes.thread_seconds(one.pid)
    report = call(one, connections, seconds)
    return processes.seconds_since(one.pid, before) / report["calls"] * 1e6, report


def loads(run, servers, kinds):
    """Rate and CPU time of calls at 32 connections and latency at one, for each kind: its title, and how it calls."""
    figures = []
    for title, call in kinds:
        cpu = Figure(f"{title}: CPU per call at 32 connections", "us")
        rate = Figure(f"{title}: calls/s at 32 connections", "", is_cost=False)
        figures.append((call, cpu, rate, Figure(f"{title}: p50 at 1 connection", "us")))
    for running in started(run, servers):
        for call, cpu, rate, p50 in figures:
            for _, one in running:
                call(one, 4, 0.5)
            for side, one in running:
                spent, report = cpu_of(one, call, 32, run.seconds)
                cpu.values[side].append(spent)
                rate.values[side].append(report["rate"])
            for side, one in running:
                p50.values[side].append(call(one, 1, min(run.seconds, 1))["p50_us"])
    return [figure for _, *three in figures for figure in three]


def rest_calls(server):
    def call(one, connections, seconds):
        return programs.load(one.url("bench", server.tool), server.arguments, server.expect, connections, seconds)

    return lambda run: loads(run, {"bench": server.entry()}, [(f"REST, {server.kind}", call)])


def mcp(run):
    """The ways to call over MCP; REST, which is their first, is measured by itself."""
    return loads(run, {"bench": RUST.entry()}, WAYS[1:])


def big(run):
    tool, arguments, expect = BIG
    cpu = Figure("1 MB structured result: CPU per call", "us")

    def call(one, connections, seconds):
        return programs.load(one.url("bench", tool), arguments, expect, connections, seconds, *WHOLE_RESULT)

    for running in started(run, {"bench": RAW.entry()}):
        for _, one in running:
            call(one, 1, 0.5)
        for side, one in running:
            cpu.values[side].append(cpu_of(one, call, 1, run.seconds)[0])
    return [cpu]


def memory(run):
    """Resident memory with thirteen idle servers; a start for each value, so there are few."""
    figure = Figure("resident memory, 13 servers, idle", "MB")
    with life.thirteen(run) as servers:
        for turn in range(run.few):
            for side, gateway in rotated([(NEW, run.gateway), (OLD, run.against)], turn):
                figure.values[side].append(life.resident_when_idle(run, gateway, servers))
    return [figure]


MEASUREMENTS = {
    "rust": rest_calls(RUST),
    "node": rest_calls(NODE),
    "mcp": mcp,
    "big": big,
    "memory": memory,
}
