"""Two ways to make the same small call, measured in turns in one run."""

import statistics

from . import processes
from .calls import rotated
from .table import Row, spread


def row(run, what, most, new, known):
    """The row for the CPU time that `new` costs the gateway more than `known`, at most `most` microseconds a call.

    Each is its label, the gateway's process, and a load that gives the report of its calls.
    """
    cpu, rates = {}, {}
    for turn in range(-1, run.rounds):
        for label, pid, load in rotated([new, known], turn):
            before = processes.thread_seconds(pid)
            report = load()
            if turn >= 0:  # The first turn warms up.
                spent = processes.seconds_since(pid, before) / report["calls"] * 1e6
                cpu.setdefault(label, []).append(spent)
                rates.setdefault(label, []).append(report["rate"])
    added = [one - other for one, other in zip(cpu[new[0]], cpu[known[0]])]
    told = {label: f"{spread(cpu[label], 'us')}; {spread(rates[label])} calls/s" for label in cpu}
    return Row(
        f"gateway CPU per small stdio call {what}", f"at most {most} us more",
        f"{spread(added, 'us')} more: {told[new[0]]}", "-", f"{known[0]} {told[known[0]]}",
        statistics.median(added) <= most, {"cpu_us": cpu, "rates": rates, "added_us": added},
    )  # fmt: skip
