start_all()
miranda.succeed("mkdir -p -m 0700 /run/secrets")
for name in ["operator", "reader", "time", "context7", "athena"]:
    miranda.succeed(f"umask 077; echo value-of-{name} > /run/secrets/{name}")
miranda.wait_for_unit("mcpo.service")
miranda.wait_until_succeeds("systemctl list-units --plain --no-legend 'mcpo-server-time@*' | grep -q running")

# 1.5 of 10, as systemd counts what a unit may do.
miranda.succeed("systemd-analyze security --threshold=15 mcpo.service")

# Only the gateway's user can connect to a server.
miranda.succeed("test \"$(stat -c '%U %a' /run/mcpo-servers/time.sock)\" = 'mcpo 600'")
miranda.succeed("test \"$(stat -c '%U:%G %a' /run/mcpo-servers)\" = 'root:mcpo 750'")

main = "$(systemctl show -P MainPID $(systemctl list-units --plain --no-legend 'mcpo-server-{}@*' | cut -d ' ' -f 1))"
# Without `network` a server sees the loopback interface alone; with it, those of the machine.
miranda.succeed(f"test $(nsenter -t {main.format('time')} -n ls /sys/class/net | wc -l) -le 1")
# Servers have users of their own, none of them root's or the gateway's.
users = {
    miranda.succeed(f"stat -c %u /proc/{process}").strip()
    for process in [main.format("time"), main.format("context7"), "$(systemctl show -P MainPID mcpo)"]
}
assert len(users) == 3 and "0" not in users, users

# A drop-in that blanks credentials and isolation, as images for containers carry one: the unit refuses to run the
# server, and says what to set.
miranda.succeed(
    "mkdir -p /run/systemd/system/service.d",
    "printf '[Service]\\nProcSubset=all\\nProtectProc=default\\nProtectControlGroups=no\\nProtectKernelTunables=no\\n"
    "NoNewPrivileges=no\\nLoadCredential=\\nPrivateNetwork=no\\nImportCredential=\\n'"
    " > /run/systemd/system/service.d/zzz-lxc-service.conf",
    "systemctl daemon-reload",
    "systemctl stop 'mcpo-server-time@*'",
)
miranda.wait_until_succeeds("journalctl --no-pager -t mcpo-server-time | grep -q security.nesting")
