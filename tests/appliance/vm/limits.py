# The limits of the units hold, the gateway and the other servers go on, and the gateway says why a server ended.
import json
import re

NAMES = ["operator", "reader", "time", "time-key", "context7", "athena", "audit"]
operator = "secret-of-operator"
CONFIG = "/etc/mcpo/config.json"
MB = 1 << 20


def place(server, *arguments):
    """From the next instance on the unit runs the hungry server, in the sandbox and the limits of its own."""
    unit = f"mcpo-server-{server}@.service"
    start = miranda.succeed(f"sed -n 's/^ExecStart=\\(.*\\) -- .*/\\1/p' /etc/systemd/system/{unit}").strip()
    program = " ".join(["/usr/bin/python3 -B -S /opt/mcpo-tests/servers/hungry_server.py", *arguments])
    miranda.write(f"/run/systemd/system/{unit}.d/hungry.conf", f"[Service]\nExecStart=\nExecStart={start} -- {program}\n")
    miranda.succeed("systemctl daemon-reload", f"systemctl stop 'mcpo-server-{server}@*.service'")


def instance(server):
    """The running instance of a server; there is one."""
    miranda.wait_until_succeeds(f"test $({instances(server)} | wc -l) = 1")
    return miranda.succeed(instances(server)).strip()


def limits(unit):
    """What the kernel was told of a unit."""
    folder = "/sys/fs/cgroup" + miranda.show(f"'{unit}'", "ControlGroup")
    names = ["memory.max", "memory.oom.group", "pids.max", "pids.current"]
    return dict(zip(names, miranda.succeed("cat " + " ".join(f"'{folder}/{name}'" for name in names)).split()))


def call(server, tool, arguments="{}"):
    return post(f"/{server}/{tool}", arguments, operator)


def cursor():
    """Where the journal ends now."""
    return miranda.succeed("journalctl --sync; journalctl --lines=0 --show-cursor | sed -n 's/^-- cursor: //p'").strip()


def told(since, match, words):
    """The first entry after a cursor that matches and has these words."""
    command = f"journalctl --quiet --output=json --after-cursor='{since}' {match} --grep='{words}' | grep --max-count=1 ."
    entry = json.loads(miranda.wait_until_succeeds(command))
    return entry["MESSAGE"], int(entry["__REALTIME_TIMESTAMP"]) / 1e6


def reason(server):
    shown = json.loads(miranda.succeed(curl("/servers", operator)))["servers"]
    return next(entry for entry in shown if entry["name"] == server).get("reason") or ""


def untouched():
    """What a server that reaches a limit must leave alone."""
    gateway = [miranda.show("mcpo.service", name) for name in ["MainPID", "NRestarts", "ActiveState"]]
    return gateway, instance("context7"), miranda.succeed(call("context7", "pid"))


def killed(since):
    """The kernel's own words: the victim, its memory in MB, and when."""
    words, when = told(since, "-k", "Killed process")
    victim, kilobytes = re.search(r"Killed process \d+ \(([^)]*)\).* anon-rss:(\d+)kB", words).groups()
    return victim, int(kilobytes) // 1024, when


give(miranda, {name: f"secret-of-{name}" for name in NAMES})
recorded = miranda.succeed(f"cat {CONFIG}")
config = json.loads(recorded)
config["mcpServers"] = {name: config["mcpServers"][name] for name in ["time", "context7"]}
miranda.write(CONFIG, json.dumps(config))
for server in ["time", "context7"]:
    place(server)
miranda.succeed("systemctl restart mcpo.service")
miranda.wait_until_succeeds(ready(2))
before = untouched()

with subtest("the kernel holds the units to what they say, and ends one process and not all"):
    kernel = limits(instance("time"))
    wanted = {"memory.max": str(512 * MB), "memory.oom.group": "0", "pids.max": "128"}
    assert kernel.items() >= wanted.items(), kernel
    # `run-server` is to tell of its server's end, so it must not be what the kernel picks.
    main = miranda.show(f"'{instance('time')}'", "MainPID")
    scores = miranda.succeed(f"cat /proc/{main}/oom_score_adj /proc/$(pgrep --parent {main})/oom_score_adj").split()
    assert scores == ["500", "1000"], scores

with subtest("a server that takes too much memory is killed at its limit, and the gateway says so"):
    since = cursor()
    refused = miranda.fail(call("time", "eat", '{"megabytes": 700}'))
    assert "its memory limit of 512 MB (`memoryMax`)" in refused, refused
    victim, size, died = killed(since)
    _, said = told(since, "-u mcpo.service", "killed by its memory limit of 512 MB \\(`memoryMax`\\)")
    assert victim == "python3" and 400 < size <= 512, (victim, size)
    print(f"     memory: killed at {size} MB of 512; the gateway said why after {said - died:.2f} s", flush=True)

with subtest("it comes back, and neither the gateway nor its neighbour noticed"):
    miranda.wait_until_succeeds(call("time", "pid"))
    assert untouched() == before

with subtest("a server that takes too much at each start is shown with the reason"):
    place("time", "--eat 700")
    text = "was killed by its memory limit of 512 MB (`memoryMax`)"
    miranda.wait_until_succeeds(curl("/servers", operator) + f" | grep -qF '{text}'")
    assert text in reason("time"), reason("time")
    miranda.succeed("systemctl show -P StatusText mcpo.service | grep '^1 of 2 servers ready; time: .* of 512 MB '")
    assert untouched() == before

miranda.write(CONFIG, recorded)
miranda.succeed("rm -r /run/systemd/system/mcpo-server-*@.service.d", "systemctl daemon-reload", "systemctl stop 'mcpo*'")
