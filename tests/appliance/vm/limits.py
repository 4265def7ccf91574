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
    command = f"journalctl --quiet --output=json --cursor='{since}' {match} --grep='{words}' | grep --max-count=1 ."
    entry = json.loads(miranda.wait_until_succeeds(command))
    return entry["MESSAGE"], int(entry["__REALTIME_TIMESTAMP"]) / 1e6


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

with subtest("a server that starts processes without end is stopped at its limit of tasks, and the log says so"):
    since = cursor()
    outcome = json.loads(miranda.succeed(call("time", "fork")))
    assert "Resource temporarily unavailable" in outcome, outcome
    tasks = limits(instance("time"))["pids.current"]
    assert tasks == "128", tasks
    _, rejected = told(since, "-k", "fork rejected by pids controller")
    _, said = told(since, "-t mcpo-server-time", "its limit of 128 tasks \\(`tasksMax`\\) refuses it a new process")
    print(f"     tasks: {outcome}; stopped at {tasks}; its log said why after {said - rejected:.2f} s", flush=True)
    assert untouched() == before

with subtest("its end is told with that limit, and leaves no process"):
    group = miranda.show(f"'{instance('time')}'", "ControlGroup")
    miranda.succeed(f"kill -KILL {json.loads(miranda.succeed(call('time', 'pid')))}")
    words = "killed by signal 9, after its limit of 128 tasks \\(`tasksMax`\\) had refused it a new process"
    told(since, "-u mcpo.service", words)
    miranda.wait_until_succeeds(f"test ! -e '/sys/fs/cgroup{group}'")
    miranda.wait_until_succeeds(ready(2))

with subtest("servers that keep to their own limits are held to the tasks of all together"):
    slice = miranda.show(f"'{instance('time')}'", "Slice")
    assert limits(slice)["pids.max"] == "4096", limits(slice)
    # Fewer, so that two servers reach them: one all of its own, the other what is left.
    miranda.succeed(f"systemctl set-property --runtime {slice} TasksMax=160")
    since = cursor()
    for server in ["context7", "time"]:
        miranda.succeed(call(server, "fork"))
    counts = [limits(unit)["pids.current"] for unit in [instance("context7"), slice]]
    assert counts == ["128", "160"], counts
    told(since, "-t mcpo-server-time", f"the limit of 160 tasks of `{slice}` refuses it a new process")
    print(f"     {slice}: stopped at {counts[1]} tasks, 128 of them in one server", flush=True)
    assert untouched() == before
    miranda.succeed(f"systemctl set-property --runtime {slice} TasksMax=4096")

with subtest("servers that keep to their own limits are held to the memory of all together"):
    together = limits(slice)["memory.max"]
    room = int(together) // MB
    # Each has less than its own limit, and the kernel picks the larger one.
    smaller, larger = room - 440, 500
    assert 0 < smaller < 400, room
    since = cursor()
    miranda.succeed(call("context7", "eat", f'{{"megabytes": {smaller}}}'))
    refused = miranda.fail(call("time", "eat", f'{{"megabytes": {larger}}}'))
    assert f"the memory limit of {room} MB of `{slice}`" in refused, refused
    victim, size, died = killed(since)
    _, said = told(since, "-u mcpo.service", f"killed by the memory limit of {room} MB of `{slice}`")
    assert victim == "python3" and smaller < size < larger, (victim, size)
    print(f"     {slice}: killed at {size} MB, {room} MB for all; the gateway said why after {said - died:.2f} s", flush=True)
    assert untouched() == before

miranda.write(CONFIG, recorded)
miranda.succeed("rm -r /run/systemd/system/mcpo-server-*@.service.d", "systemctl daemon-reload", "systemctl stop 'mcpo*'")
