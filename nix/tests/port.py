SOCKET = "mcpo-127.0.0.1-25530.socket"
time_call = post("/time/get_current_time", NOW, operator)

with subtest("restarts under load lose no call"):
    calls = f"for round in $(seq 60); do {time_call} > /dev/null || exit 1; done"
    restarts = "for round in 1 2 3; do timeout 25 systemctl restart mcpo.service || { systemctl list-jobs; systemctl status -l 'mcpo-1*.socket' mcpo.service; exit 1; }; done"
    miranda.succeed(f"({calls}) & calls=$!; {restarts}; wait $calls", timeout=60)

with subtest("a call that comes while the gateway cannot start waits, and is answered when it can"):
    miranda.succeed("mv /run/secrets/reader /run/secrets/gone", "systemctl stop mcpo.service")
    waiting = time_call.replace("--max-time 20", "--max-time 30")
    # More of them than a socket that gives up would take.
    for number in range(30):
        miranda.succeed(f"systemd-run --quiet --unit=waiting-{number} --remain-after-exit -- {waiting} -o /run/waited-{number}")
    miranda.wait_until_succeeds("test $(systemctl show -P NRestarts mcpo.service) -ge 1")
    miranda.succeed(f"systemctl is-active {SOCKET}", "mv /run/secrets/gone /run/secrets/reader")
    for number in range(30):
        miranda.wait_until_succeeds(f"grep -q UTC /run/waited-{number}")

with subtest("a port below 1024 is served, once a socket of its own is there, from the next restart on"):
    write(miranda, "/run/systemd/system/mcpo-low.socket", "[Socket]\nListenStream=127.0.0.1:81\nService=mcpo.service\n")
    miranda.succeed("mkdir -p /run/systemd/system/mcpo.service.d")
    write(miranda, "/run/systemd/system/mcpo.service.d/low.conf", "[Unit]\nWants=mcpo-low.socket\nAfter=mcpo-low.socket\n")
    miranda.succeed("systemctl daemon-reload", "systemctl restart mcpo.service")
    for port in [PORT, 81]:
        miranda.succeed(time_call.replace(str(PORT), str(port)))

