"""A gateway that hangs is restarted by the watchdog, and one that works is left alone."""

configure({"scripted": scripted()})
drop_in("WatchdogSec=2", "RestartSec=100ms")
machine.succeed(f"systemctl start {UNIT}")
first = machine.show(UNIT, "MainPID")

with subtest("three intervals pass without a restart, calls and idleness alike"):
    end = time.monotonic() + 6.5
    while time.monotonic() < end:
        call("/scripted/echo", {"value": 1})
        time.sleep(0.5)
    check(machine.show(UNIT, "MainPID") == first and machine.show(UNIT, "NRestarts") == "0", "it was restarted")

with subtest("a stopped process is killed and another one serves"):
    machine.succeed(f"systemctl kill --signal=STOP --kill-who=main {UNIT}")
    machine.wait_until_succeeds(f"test $(systemctl show --property=NRestarts --value {UNIT}) = 1", timeout=15)
    machine.wait_for_unit(UNIT)
    check(machine.show(UNIT, "MainPID") != first, "the process is the same")
    call("/scripted/echo", {"value": 1})
    reasons = machine.journal("_PID=1", f"UNIT={UNIT}")
    check(any("watchdog" in entry["MESSAGE"].lower() for entry in reasons), "the watchdog was not the reason")
