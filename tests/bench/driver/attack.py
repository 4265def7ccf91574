"""One caller attacks the gateway in every way that is known; another one's calls to other servers are timed meanwhile.

The baseline is the same attack aimed at a second gateway beside the first: it takes the machine's time as well.
"""

import contextlib
import statistics
import subprocess
import sys
import threading
import time

from . import processes, programs
from .calls import rotated
from .contenders import ROOT, RUST
from .table import Row, number, spread

ATTACKERS_KEY = "a-key-of-somebody-else"
#: The other key's calls, one in so many milliseconds.
PAUSE_MS = 20
#: What p99 and resident memory may be: see the row.
FACTOR, FLOOR_MS, MEMORY_MB = 2, 10, 512
#: Within so many seconds everything is back at rest: less than so much of one core over a second.
REST_SECONDS, REST = 10, 0.02


def servers():
    program = str(ROOT / "tests" / "servers" / "hostile_server.py")
    hostile = {
        kind: {"command": sys.executable, "args": [program, kind]} for kind in ("schemas", "lists")
    }
    return {**hostile, "bench": RUST.entry()}


def settings():
    """Default limits; the attacker has a key of its own, with what an operator would give it."""
    return {"apiKeys": {"attacker": {"key": ATTACKERS_KEY, "rate": "100/s", "concurrency": 32}}}


class Watch(threading.Thread):
    """The greatest resident memory of a process until `end`."""

    def __init__(self, pid):
        super().__init__(daemon=True)
        self.pid, self.top, self.ended = pid, 0, threading.Event()
        self.start()

    def run(self):
        # A process that is gone has none; its calls have failed then.
        with contextlib.suppress(RuntimeError, OSError):
            while not self.ended.wait(0.05):
                self.top = max(self.top, processes.resident_megabytes(self.pid))

    def end(self):
        self.ended.set()
        self.join()
        return self.top


def attack(run):
    """The other key's p99 while the attack is aimed at its own gateway, against the same attack beside."""
    if run.gateway is None:
        return
    seconds = 5 if run.is_quick else 10
    p99, top, rest, tried = {"beside": [], "attacked": []}, [], [], []
    with contextlib.ExitStack() as stack:
        ours, second = (stack.enter_context(run.gateway.start(run, servers(), more=settings())) for _ in range(2))
        url = ours.url("bench", RUST.tool)
        programs.load(url, RUST.arguments, RUST.expect, 4, 0.5)
        for turn in range(run.few):
            for label, target in rotated([("beside", second), ("attacked", ours)], turn):
                watch = Watch(target.pid)
                command = [sys.executable, ROOT / "tests/bench/attack.py", target.port, ATTACKERS_KEY, seconds]
                attacker = subprocess.Popen([str(word) for word in command], stdout=subprocess.PIPE)
                programs.ACTIVE.append(attacker)
                more = ("--pause-ms", PAUSE_MS)
                report = programs.load(url, RUST.arguments, RUST.expect, 1, seconds, *more)
                p99[label].append(report["p99_us"] / 1000)
                tried.append(programs.finish(attacker, seconds + 60))
                top.append(watch.end())
                rest.append(seconds_until_rest(target.pid))
    beside, attacked = (statistics.median(p99[label]) for label in ("beside", "attacked"))
    worst = max(rest, key=lambda value: value or float("inf"))
    yield Row(
        f"p99 of another key's {1000 // PAUSE_MS} calls a second during an attack by one key and two servers",
        f"{FACTOR} x the baseline or {FLOOR_MS} ms",
        f"{spread(p99['attacked'], 'ms')}; resident at most {number(max(top))} MB; at rest after "
        + (f"{worst:.1f} s" if worst is not None else f"more than {REST_SECONDS} s"),
        direct=f"{spread(p99['beside'], 'ms')} while the attack is aimed at a second gateway",
        reached=attacked <= max(FACTOR * beside, FLOOR_MS) and max(top) <= MEMORY_MB and None not in rest,
        values={"p99_ms": p99, "resident_mb": top, "rest_s": rest, "tried": tried},
    )  # fmt: skip


def seconds_until_rest(pid):
    """Until the process took hardly any time for a second; `None` when that takes too long."""
    begin = time.monotonic()
    while time.monotonic() - begin < REST_SECONDS:
        before = processes.cpu_seconds(pid)
        time.sleep(1)
        if processes.cpu_seconds(pid) - before < REST:
            return time.monotonic() - begin - 1
    return None
