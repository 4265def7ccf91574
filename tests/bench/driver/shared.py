"""What a rate costs that all replicas count in Redis, against one that the gateway counts by itself."""

from contextlib import ExitStack
from functools import partial

from . import paired, processes, programs
from .contenders import RUST

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
    servers = {"bench": {**RUST.entry(), "rate": RATE}}
    with ExitStack() as stack:
        with_redis = stack.enter_context(run.gateway.start(run, servers, more={"shared": f"redis://127.0.0.1:{port}"}))
        alone = stack.enter_context(run.gateway.start(run, servers))

        def side(label, one):
            url = one.url("bench", RUST.tool)
            return label, one.pid, partial(programs.load, url, RUST.arguments, RUST.expect, 32, run.seconds)

        what = "with a rate in Redis, against one in the gateway"
        row = paired.row(run, what, MOST, side("in Redis", with_redis), side("in the gateway", alone))
        answer = processes.request(with_redis.port, "GET", "/servers", headers=with_redis.headers)[1]
        if b'"shared":{"state":"ready"' not in answer:
            raise programs.Failed(f"the store was away: {answer[:300]!r}")
    run.processes.stop(redis)
    yield row
