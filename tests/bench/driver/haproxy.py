"""What HAProxy with the file nix/haproxy.cfg costs before replicas, against what it costs before as many bare servers."""

import contextlib
import os
import shutil
import statistics

from . import processes, programs
from .calls import bare_server, rotated, small_answer
from .contenders import ROOT, RUST
from .table import Row, spread

#: As many as the file names.
REPLICAS = 3
#: What the way to replicas may add, of what HAProxy takes before a bare server: the rest is the noise of two cores.
MOST = 1.1

#: The callers and HAProxy have a core of their own, since they stand on other machines than gateways and servers do. Where
#: the scheduler moves processes between the cores, one and the same call takes 80 us or 100.
FRONT = {min(os.sched_getaffinity(0))}
BACK = os.sched_getaffinity(0) - FRONT or FRONT


@contextlib.contextmanager
def balancer(run, ports):
    """HAProxy before these ports, which stand there again and again until there are enough."""
    program = shutil.which("haproxy") or "/usr/sbin/haproxy"
    port = processes.free_port()
    env = {**os.environ, "MCPO_LISTEN": f"127.0.0.1:{port}"}
    env |= {f"MCPO_REPLICA_{index + 1}": f"127.0.0.1:{ports[index % len(ports)]}" for index in range(REPLICAS)}
    process = run.processes.start("haproxy", [program, "-db", "-f", str(ROOT / "nix/haproxy.cfg")], env)
    ready = lambda: processes.request(port, "GET", "/ready")[0] == 200  # noqa: E731
    processes.wait_for(ready, "HAProxy (of the package haproxy)")
    try:
        yield process.pid, port
    finally:
        run.processes.stop(process)


def spread_load(ports, connections, seconds):
    """Calls of these connections, as many at each port."""
    shares = [connections // len(ports) + (index < connections % len(ports)) for index in range(len(ports))]
    urls = [f"http://127.0.0.1:{port}/bench/{RUST.tool}" for port in ports]
    loads = [
        (url, programs.begin_load(url, RUST.arguments, RUST.expect, share, seconds))
        for url, share in zip(urls, shares) if share
    ]  # fmt: skip
    reports = [programs.checked(programs.finish(load, seconds + 30), url) for url, load in loads]
    return {"calls": sum(one["calls"] for one in reports), "p50_us": reports[0]["p50_us"]}


@contextlib.contextmanager
def bare_servers(run, answer, work=0):
    with contextlib.ExitStack() as stack:
        # Their core is not that of what is started meanwhile.
        with processes.on(BACK):
            servers = [stack.enter_context(bare_server(run, answer, work)) for _ in range(REPLICAS)]
        yield servers


def lacking_work(run, answer, ports):
    """The nanoseconds by which a call of these gateways and their servers occupies its core longer than a bare server's.

    HAProxy that has less to do wakes for fewer events at a time and takes more for each call, so that its own share is
    that before servers which are as fast as the gateways.
    """
    def per_call(ports):
        return run.seconds * 1e9 / statistics.median(spread_load(ports, 32, run.seconds)["calls"] for _ in range(3))

    gateways, work = per_call(ports), 0
    # What a server takes besides changes what it takes for the rest, so that a first guess is set right.
    for _ in range(3):
        with bare_servers(run, answer, work) as bare:
            work = max(0, round(work + gateways - per_call([port for _, port in bare])))
    return work


def haproxy(run):
    """CPU time and latency of a small call: direct, and through HAProxy. Before bare servers HAProxy's own time counts."""
    if run.gateway is None:
        return
    with contextlib.ExitStack() as stack:
        stack.enter_context(processes.on(FRONT))
        with processes.on(BACK):
            replicas = [stack.enter_context(run.gateway.start(run, {"bench": RUST.entry()})) for _ in range(REPLICAS)]
        answer = small_answer(replicas[0])
        work = lacking_work(run, answer, [one.port for one in replicas])
        bare = stack.enter_context(bare_servers(run, answer, work))
        before_bare = stack.enter_context(balancer(run, [port for _, port in bare]))
        before_one = stack.enter_context(balancer(run, [replicas[0].port]))
        before_all = stack.enter_context(balancer(run, [one.port for one in replicas]))
        # With its server.
        pids = [[one.pid, processes.child_with_argument(one.pid, RUST.entry()["command"])] for one in replicas]
        every = [pid for both in pids for pid in both]
        ports = [one.port for one in replicas]
        sides = {
            # Of these, the CPU time of HAProxy alone counts.
            "three bare servers": ([], [port for _, port in bare]),
            "HAProxy before them": ([before_bare[0]], [before_bare[1]]),
            "one gateway": (pids[0], ports[:1]),
            "HAProxy before it": ([*pids[0], before_one[0]], [before_one[1]]),
            "three gateways": (every, ports),
            "HAProxy before the three": ([*every, before_all[0]], [before_all[1]]),
        }
        cpu, p50, rate = ({label: [] for label in sides} for _ in range(3))
        for turn in range(-1, run.rounds):
            for label, (watched, ports) in rotated(list(sides.items()), turn):
                before = [processes.thread_seconds(pid) for pid in watched]
                report = spread_load(ports, 32, run.seconds)
                spent = sum(processes.seconds_since(pid, then) for pid, then in zip(watched, before))
                alone = spread_load(ports, 1, min(run.seconds, 1))
                if turn >= 0:  # The first turn warms up.
                    cpu[label].append(spent / report["calls"] * 1e6)
                    p50[label].append(alone["p50_us"])
                    rate[label].append(report["calls"] / run.seconds)

    def added(values, more, less):
        return [one - other for one, other in zip(values[more], values[less])]

    replicas_rate, bare_rate = (statistics.median(rate[label]) for label in ("HAProxy before the three", "HAProxy before them"))
    rates = f"{replicas_rate:,.0f} calls/s before three replicas, {bare_rate:,.0f} before bare servers"
    for what, unit, values in [("CPU per small stdio call", "us", cpu), ("p50 at 1 connection", "us", p50)]:
        own = added(values, "HAProxy before them", "three bare servers")
        one = added(values, "HAProxy before it", "one gateway")
        three = added(values, "HAProxy before the three", "three gateways")
        reached = statistics.median(three) <= MOST * statistics.median(own)
        told = "; ".join(f"{label} {spread(values[label], unit)}" for label in sides if any(values[label]))
        yield Row(
            f"{what}: added by HAProxy before three replicas", "HAProxy's own share before three bare servers",
            f"{spread(three, unit)}, before one {spread(one, unit)}; {told}; {rates}", "-", f"own share {spread(own, unit)}",
            reached, {"values": values, "own": own, "one": one, "three": three},
        )  # fmt: skip
