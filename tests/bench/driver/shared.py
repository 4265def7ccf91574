"""What a rate costs that all replicas count in Redis, against one that the gateway counts by itself."""

import statistics
from contextlib import ExitStack

from . import processes, programs
from .calls import rotated
from .contenders import RUST
from .table import Row, spread

#: Never met: what is measured is the count.
RATE = "1000000/s"
#: Microseconds of CPU that the round trip of a call may cost the gateway.
MOST = 15


def shared(run):
    """CPU time of a small call with a rate in Redis, less that of one with a rate in the gateway, in the same round."""
    if run.gateway is None:
        return
    port = processes.free_port()
    # Debian has the server under two names, of which one comes without a service.
    redis = run.processes.start("redis", [
        "bash", "-c", f"exec -a redis-server redis-check-rdb --port {port} --bind 127.0.0.1 --save ''",
    ])  # fmt: skip
    processes.wait_for(lambda: processes.port_is_open(port), "Redis (of the package redis-tools)")
    cpu, rates = {"Redis": [], "gateway": []}, {"Redis": [], "gateway": []}
    servers = {"bench": {**RUST.entry(), "rate": RATE}}
    with ExitStack() as stack:
        with_redis = stack.enter_context(run.gateway.start(run, servers, more={"shared": f"redis://127.0.0.1:{port}"}))
        alone = stack.enter_context(run.gateway.start(run, servers))
        sides = [("Redis", with_redis), ("gateway", alone)]
        for turn in range(-1, run.rounds):
            for label, one in rotated(sides, turn):
                before = processes.thread_seconds(one.pid)
                report = programs.load(one.url("bench", RUST.tool), RUST.arguments, RUST.expect, 32, run.seconds)
                if turn >= 0:  # The first turn warms up.
                    cpu[label].append(processes.seconds_since(one.pid, before) / report["calls"] * 1e6)
                    rates[label].append(report["rate"])
        answer = processes.request(with_redis.port, "GET", "/servers", headers=with_redis.headers)[1]
        if b'"shared":{"state":"ready"' not in answer:
            raise programs.Failed(f"the store was away: {answer[:300]!r}")
    run.processes.stop(redis)
    added = [one - other for one, other in zip(cpu["Redis"], cpu["gateway"])]
    yield Row(
        "gateway CPU per small stdio call with a rate in Redis, against one in the gateway", f"at most {MOST} us more",
        f"{spread(added, 'us')} more: {spread(cpu['Redis'], 'us')}; {spread(rates['Redis'])} calls/s", "-",
        f"in the gateway {spread(cpu['gateway'], 'us')}; {spread(rates['gateway'])} calls/s",
        statistics.median(added) <= MOST, {"cpu_us": cpu, "rates": rates, "added_us": added},
    )  # fmt: skip
