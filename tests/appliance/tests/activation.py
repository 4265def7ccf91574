"""Socket activation: a connection starts the gateway, and clients wait in the socket while it restarts."""

configure({"scripted": scripted()}, port=9)
machine.succeed("systemctl start mcpo.socket")

with subtest("a connection over TCP starts the unit and is answered"):
    machine.fail(f"systemctl is-active {UNIT}")
    check(json.loads(call("/scripted/echo", {"value": 1}))["arguments"] == {"value": 1}, "another answer")
    machine.succeed(f"systemctl is-active {UNIT}")
    machine.fail("exec 3<>/dev/tcp/127.0.0.1/9")
    greetings = [entry["MESSAGE"] for entry in entries() if "listens on" in entry["MESSAGE"]]
    check(
        len(greetings) == 1 and "http://127.0.0.1:8000 and unix:/run/mcpo.sock" in greetings[0],
        greetings,
    )

with subtest("a connection over the Unix socket starts it as well, under any Host"):
    machine.succeed(f"systemctl stop {UNIT}")
    machine.fail(f"systemctl is-active {UNIT}")
    answer = machine.succeed("curl --silent --fail --max-time 20 --unix-socket /run/mcpo.sock http://mcpo/servers")
    check("scripted" in answer, answer)
    machine.succeed(f"systemctl is-active {UNIT}")
    machine.fail("curl --silent --fail --max-time 20 --unix-socket /run/mcpo.sock -H 'Origin: http://evil.example' "
                 "http://evil.example/servers")
    machine.fail("setpriv --reuid=nobody --regid=nogroup --clear-groups curl --silent --unix-socket /run/mcpo.sock http://mcpo/health")

with subtest("the refusal names the user behind the Unix socket"):
    refused = [entry for entry in entries("OUTCOME=host_not_allowed")]
    check(len(refused) == 1 and "unix:uid=0" in refused[0]["MESSAGE"], refused)

with subtest("three restarts under load fail no call"):
    load = machine.background("python3 /opt/mcpo-tests/appliance/load.py 127.0.0.1:8000 /scripted/echo 8 6")
    for _ in range(3):
        time.sleep(1.3)
        machine.succeed(f"systemctl restart {UNIT}")
    output, errors = load.communicate(timeout=30)
    result = json.loads(output or "{}")
    check(result.get("answered", 0) > 100 and not result["failures"], f"{output} {errors}")
