start_all()
miranda.succeed("mkdir -p -m 0700 /run/secrets")
for name in ["operator", "reader", "time", "context7", "athena"]:
    miranda.succeed(f"umask 077; echo value-of-{name} > /run/secrets/{name}")
miranda.wait_for_unit("mcpo.service")
time_call = (
    "curl -sf -H 'Content-Type: application/json' -H 'Authorization: Bearer value-of-operator'"
    """ http://127.0.0.1:25530/time/get_current_time -d '{"timezone": "UTC"}'"""
)
miranda.wait_until_succeeds(time_call)

gateway = miranda.succeed("systemctl show -P MainPID mcpo").strip()
server = miranda.succeed("pgrep -f 'mcp-server-time.*UTC' | sort -n | tail -1").strip()

# A switch replaces the link, and reloads.
change = "s/127.0.0.1:22461/127.0.0.1:22462/"
miranda.succeed(
    f"sed {change} /etc/mcpo/config.json > /run/changed.json",
    "rm /etc/mcpo/config.json",
    "cp /run/changed.json /etc/mcpo/config.json",
    f"for round in $(seq 50); do {time_call} > /dev/null || exit 1; done & calls=$!; systemctl reload mcpo && wait $calls",
)
athena = (
    "curl -sf -H 'Authorization: Bearer value-of-operator' http://127.0.0.1:25530/servers | grep -q 22462"
)
miranda.wait_until_succeeds(athena)
assert gateway == miranda.succeed("systemctl show -P MainPID mcpo").strip(), "the gateway was restarted"
assert server == miranda.succeed("pgrep -f 'mcp-server-time.*UTC' | sort -n | tail -1").strip(), (
    "an unchanged server was restarted"
)

# A broken configuration changes nothing, and the journal says why.
miranda.succeed("echo '{' > /etc/mcpo/config.json")
miranda.execute("systemctl reload mcpo")
miranda.wait_until_succeeds("journalctl -u mcpo --no-pager | grep -q /etc/mcpo/config.json")
miranda.succeed(time_call)
