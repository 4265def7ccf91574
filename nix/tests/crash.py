import json

time_call = post("/time/get_current_time", NOW, operator)
context7 = miranda.succeed(instances("context7"))
gateway = miranda.succeed("systemctl show -P MainPID mcpo.service")

with subtest("a server that is killed comes back"):
    for _ in range(3):
        miranda.succeed("systemctl kill --signal=KILL 'mcpo-server-time@*.service'")
        miranda.wait_until_succeeds(time_call)

BROKEN = "/run/systemd/system/mcpo-server-time@.service.d/broken.conf"


def break_time(arguments):
    """From now on the unit's command ends with these arguments, in the place of the server's own."""
    miranda.succeed(
        f"mkdir -p $(dirname {BROKEN})",
        "start=$(systemctl cat mcpo-server-time@.service | sed -n 's/^ExecStart=\\(.*\\) -- .*/\\1/p')"
        f"; printf '[Service]\\nExecStart=\\nExecStart=%s -- %s\\n' \"$start\" {arguments} > {BROKEN}",
        "systemctl daemon-reload",
        "systemctl stop 'mcpo-server-time@*.service'",
    )


with subtest("a server that dies at once is named with its exit status and its last words"):
    break_time("'/bin/sh -c \"echo The key is out of date. >&2; exit 3\"'")
    miranda.wait_until_succeeds(curl("/servers", operator) + " | grep -q 'out of date'")
    shown = json.loads(miranda.succeed(curl("/servers", operator)))["servers"]
    reason = next(entry for entry in shown if entry["name"] == "time")["reason"]
    assert "status 3" in reason and "The key is out of date." in reason, reason
    miranda.succeed("systemctl show -P StatusText mcpo.service | grep -q '^2 of 3 servers ready; time: '")
    # They stand in the gateway's journal, and in that of the server.
    for where in ["-u mcpo.service", "-t mcpo-server-time"]:
        miranda.wait_until_succeeds(f"journalctl --no-pager {where} | grep -q 'The key is out of date.'")
    # Whoever calls is told that it is not there, and not why.
    refused = miranda.fail(post("/time/get_current_time", NOW, reader))
    assert "unavailable" in refused and "out of date" not in refused, refused

with subtest("however fast instances die, systemd does not close the socket"):
    connect = "setpriv --reuid=mcpo --regid=mcpo --clear-groups"
    connect += " curl -s --max-time 5 --unix-socket /run/mcpo-servers/time.sock http://server/"
    before = int(miranda.succeed("systemctl show -P NAccepted mcpo-server-time.socket"))
    assert miranda.succeed("systemctl show -P TriggerLimitIntervalUSec mcpo-server-time.socket").strip() == "0"
    miranda.succeed(f"for lane in 1 2 3 4; do (for round in $(seq 15); do {connect}; done) & done; wait", timeout=120)
    assert int(miranda.succeed("systemctl show -P NAccepted mcpo-server-time.socket")) >= before + 60
    miranda.succeed("systemctl is-active mcpo-server-time.socket")

with subtest("failed instances are collected"):
    miranda.wait_until_succeeds(
        "test -z \"$(systemctl list-units --all --plain --no-legend --state=failed 'mcpo-server-time@*')\""
    )

with subtest("once it is repaired it is back by itself"):
    miranda.succeed(f"rm {BROKEN}", "systemctl daemon-reload")
    miranda.wait_until_succeeds(time_call)
    miranda.wait_until_succeeds(ready(3))

with subtest("neither another server nor the gateway was touched"):
    assert miranda.succeed(instances("context7")) == context7
    assert miranda.succeed("systemctl show -P MainPID mcpo.service") == gateway
