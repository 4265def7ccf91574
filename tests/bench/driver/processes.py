"""Processes of one benchmark run: started here, watched through /proc, ended by their own id."""

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import time

TICKS = os.sysconf("SC_CLK_TCK")


class Processes:
    """Everything that was started, so that it can be ended whatever happens."""

    def __init__(self, logs):
        self.logs = logs
        self.running = []

    def start(self, name, command, env=None):
        """Start a command with its output in logs/NAME.log."""
        with open(self.logs / f"{name}.log", "ab") as log:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env, cwd=self.logs
            )
        self.running.append(process)
        return process

    def stop(self, process):
        """End one process: asked first, killed after five seconds."""
        if process in self.running:
            self.running.remove(process)
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def stop_all(self):
        for process in list(self.running):
            self.stop(process)


def cpu_seconds(pid):
    """User and system time of the process's own threads, without its children."""
    with open(f"/proc/{pid}/stat") as stat:
        fields = stat.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


@contextlib.contextmanager
def on(cores):
    """This process, and what it starts meanwhile, stay on these cores."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextlib.contextmanager
def one_core_apart():
    """A core that this process, and what it starts, stays off unless it asks for it."""
    cores = os.sched_getaffinity(0)
    if len(cores) < 2:
        raise RuntimeError("a core apart needs two cores")
    apart = min(cores)
    with on(cores - {apart}):
        yield apart


def thread_seconds(pid):
    """By thread, the time that it ran, to the nanosecond: a clock tick is a percent of a short measurement."""
    spent = {}
    for thread in os.listdir(f"/proc/{pid}/task"):
        try:
            with open(f"/proc/{pid}/task/{thread}/schedstat") as stat:
                spent[thread] = int(stat.read().split()[0]) / 1e9
        except OSError:
            continue  # It has ended since.
    return spent


def seconds_since(pid, before):
    """The time that all threads ran since `thread_seconds` gave `before`."""
    return sum(spent - before.get(thread, 0) for thread, spent in thread_seconds(pid).items())


def resident_megabytes(pid):
    with open(f"/proc/{pid}/status") as status:
        for line in status:
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024 / 1e6
    raise RuntimeError(f"process {pid} has no VmRSS")


def child_with_argument(pid, argument):
    """The child of `pid` whose command line holds `argument`; a grandchild counts too."""
    parents = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/stat") as stat:
                    parents[int(entry)] = int(stat.read().rpartition(")")[2].split()[1])
            except OSError:
                continue
    for child in parents:
        ancestor = parents[child]
        while ancestor not in (0, 1, pid):
            ancestor = parents.get(ancestor, 0)
        if ancestor != pid:
            continue
        try:
            with open(f"/proc/{child}/cmdline", "rb") as line:
                if argument.encode() in line.read().split(b"\0"):
                    return child
        except OSError:
            continue
    raise RuntimeError(f"process {pid} has no child with the argument {argument}")


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def wait_for(condition, what, seconds=60, pause=0.005):
    """Wait until a condition holds; its last reason is in the error."""
    end = time.monotonic() + seconds
    reason = None
    while time.monotonic() < end:
        try:
            if condition():
                return
        except (OSError, http.client.HTTPException) as error:
            reason = error
        time.sleep(pause)
    raise RuntimeError(f"waited {seconds} s in vain for {what}: {reason}")


def port_is_open(port):
    with socket.socket() as client:
        client.settimeout(1)
        return client.connect_ex(("127.0.0.1", port)) == 0


def request(port, method, path, body=None, headers=(), timeout=15):
    """One HTTP request on a connection of its own: status and body."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request(method, path, body, dict(headers))
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()
