"""`systemctl reload`: only what changed is touched, the status tells, and a bad file changes nothing."""

configure({"kept": scripted(), "changed": scripted()})
machine.succeed(f"systemctl start {UNIT}")
machine.wait_until_succeeds(f"systemctl show --property=StatusText {UNIT} | grep '2 of 2 servers ready'")
main = machine.show(UNIT, "MainPID")
kept, changed = call("/kept/pid", {}), call("/changed/pid", {})

with subtest("a reload under load fails no call, and leaves the unchanged server as it is"):
    load = machine.background("exec python3 /opt/mcpo-tests/appliance/load.py 127.0.0.1:8000 /kept/echo 8 4")
    configure({"kept": scripted(), "changed": scripted("--tools", "another"), "fresh": scripted()})
    machine.succeed(f"systemctl reload {UNIT}")
    machine.wait_until_succeeds(f"systemctl show --property=StatusText {UNIT} | grep '3 of 3 servers ready'")
    call("/changed/another", {})
    check(machine.show(UNIT, "MainPID") == main, "the gateway was restarted")
    check(call("/kept/pid", {}) == kept and call("/changed/pid", {}) != changed, "the wrong server was touched")
    output, _ = load.communicate(timeout=30)
    result = json.loads(output)
    check(result["answered"] > 100 and not result["failures"], output)

with subtest("a bad file keeps the running configuration, and journal and status say why"):
    machine.write("/etc/mcpo/config.json", '{"mcpServers": {"kept": {"command": 5}}}')
    machine.succeed(f"systemctl reload {UNIT}")
    machine.wait_until_succeeds(f"systemctl show --property=StatusText {UNIT} | grep 'the last reload failed'")
    check("mcpServers.kept.command" in status_text(), status_text())
    said = [entry["MESSAGE"] for entry in entries("--priority=err")]
    check(any("config.json:1:" in text and "mcpServers.kept.command" in text for text in said), said)
    check(call("/kept/pid", {}) == kept, "a server was touched")

with subtest("a good file after it clears the status"):
    configure({"kept": scripted()})
    machine.succeed(f"systemctl reload {UNIT}")
    machine.wait_until_succeeds(f"systemctl show --property=StatusText {UNIT} | grep -x 'StatusText=1 of 1 servers ready'")
    check(call("/kept/pid", {}) == kept, "the server was touched")
    machine.wait_until_succeeds("test $(pgrep -fc '[s]cripted_server.py') = 1")
