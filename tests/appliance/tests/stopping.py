"""The end: calls are drained, and exit codes say what was wrong."""

configure({"scripted": scripted()})

with subtest("a call in flight is finished before the unit stops, even past TimeoutStopSec"):
    # The gateway asks for the time that it may need.
    drop_in("TimeoutStopSec=1")
    machine.succeed(f"systemctl start {UNIT}")
    call("/scripted/echo", {"value": 1})
    slow = machine.background(
        "curl --silent --max-time 20 --header 'Content-Type: application/json' --data '{\"seconds\": 2.5}' "
        "--write-out '%{http_code}' http://127.0.0.1:8000/scripted/slow"
    )
    time.sleep(0.5)
    began = time.monotonic()
    machine.succeed(f"systemctl stop {UNIT}")
    output, _ = slow.communicate(timeout=20)
    check(output.endswith("200") and "slept" in output, f"the call ended with {output!r}")
    check(time.monotonic() - began > 1.5, "the stop did not wait for the call")
    check(machine.show(UNIT, "ExecMainStatus") == "0" and machine.show(UNIT, "Result") == "success", "no clean end")
    machine.fail("exec 3<>/dev/tcp/127.0.0.1/8000")
    machine.fail("pgrep -f scripted_server.py")

with subtest("a wrong configuration ends with 64, all problems in the journal, and no second try"):
    machine.write("/etc/mcpo/config.json", '{"mcpServers": {"docs": {"command": "x"}, "a": {}}}')
    machine.fail(f"systemctl start {UNIT}")
    machine.wait_until_succeeds(f"systemctl is-failed {UNIT}")
    check(machine.show(UNIT, "Result") == "exit-code", machine.show(UNIT, "Result"))
    check(machine.show(UNIT, "ExecMainStatus") == "64", machine.show(UNIT, "ExecMainStatus"))
    said = " ".join(entry["MESSAGE"] for entry in machine.journal("-u", UNIT, "SYSLOG_IDENTIFIER=mcpo"))
    check("mcpServers.docs" in said and "mcpServers.a" in said, said)
    machine.succeed(f"systemctl reset-failed {UNIT}")

with subtest("a port in use ends with 69 and is tried again until it is free"):
    configure({"scripted": scripted()})
    drop_in("RestartSec=200ms", "StartLimitIntervalSec=0")
    holder = machine.background("exec timeout 20 python3 -m http.server --bind 127.0.0.1 8000")
    machine.wait_for_open_port(8000)
    machine.fail(f"systemctl start {UNIT}")
    check(machine.show(UNIT, "ExecMainStatus") in ("69", "0"), machine.show(UNIT, "ExecMainStatus"))
    said = " ".join(entry["MESSAGE"] for entry in machine.journal("-u", UNIT, "SYSLOG_IDENTIFIER=mcpo"))
    check("127.0.0.1:8000: the address is in use" in said, said)
    machine.succeed(f"journalctl -u {UNIT} | grep -q 'status=69'")
    machine.succeed("pkill -xf 'python3 -m http.server --bind 127.0.0.1 8000'")
    machine.wait_for_unit(UNIT)
