import json

SOCKET = "mcpo-127.0.0.1-25530.socket"
# On a busy machine a server takes long to start, and a call waits for it.
time_call = post("/time/get_current_time", NOW, operator).replace("--max-time 20", "--max-time 80")

with subtest("restarts under load lose no call"):
    # A restart right after another finds a call that waits for its server to start, and lets it have its answer within the
    # drain, so that it takes as long as that start. The usual drain can be too short for it.
    config = json.loads(miranda.succeed("cat /etc/mcpo/config.json"))
    write(miranda, "/run/patient.json", json.dumps({**config, "limits": {"drain": 60}}))
    miranda.succeed("cp --remove-destination /run/patient.json /etc/mcpo/config.json", "mkdir -p /run/systemd/system/mcpo.service.d")
    write(miranda, "/run/systemd/system/mcpo.service.d/patient.conf", "[Service]\nTimeoutStopSec=70\n")
    miranda.succeed("systemctl daemon-reload", "systemctl reload mcpo.service")
    calls = f"for round in $(seq 60); do {time_call} > /dev/null || exit 1; done"
    restarts = "for round in 1 2 3; do timeout 80 systemctl restart mcpo.service || { systemctl list-jobs; systemctl status -l 'mcpo-1*.socket' mcpo.service; exit 1; }; done"
    miranda.succeed(f"({calls}) & calls=$!; {restarts}; wait $calls", timeout=300)

with subtest("a call that comes while the gateway cannot start waits, and is answered when it can"):
    miranda.succeed("mv /run/secrets/reader /run/secrets/gone", "systemctl stop mcpo.service")
    # More of them than a socket that gives up would take.
    for number in range(30):
        miranda.succeed(f"systemd-run --quiet --unit=waiting-{number} --remain-after-exit -- {time_call} -o /run/waited-{number}")
    miranda.wait_until_succeeds("test $(systemctl show -P NRestarts mcpo.service) -ge 1")
    miranda.succeed(f"systemctl is-active {SOCKET}", "mv /run/secrets/gone /run/secrets/reader")
    for number in range(30):
        miranda.wait_until_succeeds(f"grep -q UTC /run/waited-{number}", timeout=90)

with subtest("a port below 1024 is served, once a socket of its own is there, from the next restart on"):
    write(miranda, "/run/systemd/system/mcpo-low.socket", "[Socket]\nListenStream=127.0.0.1:81\nService=mcpo.service\n")
    write(miranda, "/run/systemd/system/mcpo.service.d/low.conf", "[Unit]\nWants=mcpo-low.socket\nAfter=mcpo-low.socket\n")
    miranda.succeed("systemctl daemon-reload", "systemctl restart mcpo.service")
    for port in [PORT, 81]:
        miranda.succeed(time_call.replace(str(PORT), str(port)), timeout=90)

