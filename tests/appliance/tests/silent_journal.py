"""A journal that takes nothing never blocks a call."""

configure({"scripted": scripted()})
machine.succeed(f"systemctl start {UNIT}")
call("/scripted/echo", {"value": 1})
machine.succeed("systemctl kill --signal=STOP --kill-who=main systemd-journald.service")
try:
    output = machine.succeed("python3 /opt/mcpo-tests/appliance/load.py 127.0.0.1:8000 /scripted/echo 8 4")
    result = json.loads(output)
    check(result["answered"] > 500 and not result["failures"], output)
finally:
    machine.succeed("systemctl kill --signal=CONT --kill-who=main systemd-journald.service")
call("/scripted/echo", {"value": 1})
