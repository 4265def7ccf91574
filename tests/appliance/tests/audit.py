"""The unit has a folder for the audit trail, and a rotated file is left alone."""

TRAIL = "/var/log/mcpo/audit.jsonl"
configure({"s": scripted()}, audit={"to": "file", "file": TRAIL, "arguments": "digest"})
machine.succeed(f"systemctl restart {UNIT}")
machine.wait_until_succeeds(f"systemctl show --property=StatusText {UNIT} | grep -x 'StatusText=1 of 1 servers ready'")

with subtest("each call is a line of a file that nobody else reads"):
    call("/s/echo", {"value": 1})
    machine.wait_until_succeeds(f"grep -q '\"mcp_tool\":\"echo\"' {TRAIL}")
    check(machine.succeed(f"stat -L -c %a {TRAIL}").strip() == "600", "the trail can be read by others")

with subtest("after a rotation and a reload the next call begins a new file"):
    machine.succeed(f"mv {TRAIL} {TRAIL}.1", f"systemctl reload {UNIT}")
    run = machine.show(UNIT, "InvocationID")
    machine.wait_until_succeeds(
        f"journalctl --no-pager _SYSTEMD_INVOCATION_ID={run} | grep -q 'the new configuration is served'"
    )
    call("/s/echo", {"value": 2})
    machine.wait_until_succeeds(f"test $(wc -l < {TRAIL}) = 1 && test $(wc -l < {TRAIL}.1) = 1")
