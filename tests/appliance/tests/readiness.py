"""The unit is active once its port is served, and its status says how the servers are."""

configure({"time": real_time(), "broken": scripted("--start", "exit")})

with subtest("whoever is started after it finds the port open, every time"):
    drop_in("ExecStartPost=/usr/bin/curl --silent --fail --output /dev/null http://127.0.0.1:8000/health")
    for _ in range(5):
        machine.succeed(f"systemctl restart {UNIT}; systemctl reset-failed {UNIT}")
    check(machine.show(UNIT, "NRestarts") == "0", "it was restarted")

with subtest("the status counts the servers and names the one that is not ready"):
    machine.wait_until_succeeds(
        f"systemctl show --property=StatusText {UNIT} | "
        "grep -x 'StatusText=1 of 2 servers ready; broken: its process exited with status 7'"
    )
    shown = machine.succeed(f"systemctl status --no-pager {UNIT}")
    check('Status: "1 of 2 servers ready; broken:' in shown, shown)

with subtest("a server that comes up is counted without a restart"):
    configure({"time": real_time(), "late": scripted("--unless", "/tmp/broken")})
    drop_in("ExecStartPre=/usr/bin/touch /tmp/broken")
    machine.succeed(f"systemctl restart {UNIT}")
    machine.wait_until_succeeds(f"systemctl show --property=StatusText {UNIT} | grep '1 of 2 servers ready; late:'")
    machine.succeed(f"nsenter -t $(systemctl show -p MainPID --value {UNIT}) -m rm /tmp/broken")
    machine.wait_until_succeeds(f"systemctl show --property=StatusText {UNIT} | grep -x 'StatusText=2 of 2 servers ready'")

with subtest("the sandbox of the unit holds"):
    check(call("/late/environment", {}).count("CREDENTIALS_DIRECTORY") == 0, "a child saw the gateway's own variables")
    process = machine.show(UNIT, "MainPID")
    status = machine.succeed(f"cat /proc/{process}/status")
    check("NoNewPrivs:\t1" in status and "CapEff:\t0000000000000000" in status and "Seccomp:\t2" in status, status)
    machine.fail(f"nsenter -t {process} -m touch /etc/mcpo/other")
    exposure = machine.succeed(f"systemd-analyze security --no-pager {UNIT} | tail -1")
    check(float(exposure.split(": ")[1].split()[0]) <= 2.5, exposure)
