"""Counts the instructions of a running process with `perf stat`, where the machine has the counters."""

import shutil
import signal
import subprocess

EVENT = "instructions:u"


def parsed(text):
    """The count in `perf stat -x,`'s output; none if it was not counted."""
    for line in text.splitlines():
        value = line.split(",")[0]
        if EVENT.split(":")[0] in line and value.isdigit():
            return int(value)
    return None


def supported():
    if shutil.which("perf") is None:
        return False
    command = ["perf", "stat", "-x,", "-e", EVENT, "true"]
    return parsed(subprocess.run(command, capture_output=True, text=True, check=False).stderr) is not None


class Meter:
    """Counts from its creation until `stop`."""

    def __init__(self, pid):
        command = ["perf", "stat", "-x,", "-e", EVENT, "-p", str(pid)]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)

    def stop(self):
        self.process.send_signal(signal.SIGINT)
        _, text = self.process.communicate(timeout=10)
        count = parsed(text)
        if count is None:
            raise RuntimeError(f"perf counted nothing: {text}")
        return count
