"""Calls a tool from several threads, each call over a connection of its own, and prints what became of them.

    load.py HOST:PORT PATH THREADS SECONDS
"""
import collections
import http.client
import json
import sys
import threading
import time

address, path, threads, seconds = sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])
# No call takes so long unless the gateway is stuck.
PATIENCE = 8
end = time.monotonic() + seconds
answered, failures = collections.Counter(), collections.Counter()


def caller():
    while time.monotonic() < end:
        connection = http.client.HTTPConnection(address, timeout=PATIENCE)
        try:
            connection.request("POST", path, b'{"value":1}', {"Content-Type": "application/json"})
            answer = connection.getresponse()
            answer.read()
            (answered if answer.status == 200 else failures)[answer.status] += 1
        except (OSError, http.client.HTTPException) as error:
            failures[repr(error)] += 1
        finally:
            connection.close()
        time.sleep(0.005)


callers = [threading.Thread(target=caller) for _ in range(threads)]
for thread in callers:
    thread.start()
for thread in callers:
    thread.join()
print(json.dumps({"answered": sum(answered.values()), "failures": failures}))
