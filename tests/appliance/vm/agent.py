"""Inside the virtual machine: runs the commands that come through a serial port, one after the other, and answers.

A message is a line of JSON: {"id", "command", "timeout", "again"} comes, {"id", "status", "output", "error"} goes.
"""
import glob
import json
import os
import subprocess
import time

ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}
# Its name has the number of the device, which depends on what else there is.
[path] = glob.glob("/dev/vport*p1")
port = os.open(path, os.O_RDWR)


def send(**message):
    data = json.dumps(message).encode() + b"\n"
    while data:
        data = data[os.write(port, data):]


def run(command, timeout):
    try:
        done = subprocess.run(
            ["/bin/bash", "-c", command], stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout, env=ENVIRONMENT
        )
        status, output, error = done.returncode, done.stdout, done.stderr
    except subprocess.TimeoutExpired as late:
        # As timeout(1) has it.
        status, output, error = 124, late.stdout or b"", f"no end within {timeout:.0f} s".encode()
    return {"status": status, "output": output.decode(errors="replace"), "error": error.decode(errors="replace")}


send(id=0, status=0, output="", error="")
with os.fdopen(port, "rb", closefd=False) as requests:
    for request in map(json.loads, requests):
        end = time.monotonic() + request["timeout"]
        answer = run(request["command"], request["timeout"])
        while request["again"] and answer["status"] != 0 and time.monotonic() < end:
            time.sleep(0.2)
            answer = run(request["command"], request["timeout"])
        send(id=request["id"], **answer)
