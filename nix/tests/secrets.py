start_all()
secrets = {
    "operator": "key-of-the-operator",
    "reader": "key-of-the-reader",
    "time": "secret-of-time",
    "context7": "secret-of-context7",
    "athena": "secret-of-athena",
}
miranda.succeed("mkdir -p -m 0700 /run/secrets")
for name, value in secrets.items():
    miranda.succeed(f"umask 077; echo {value} > /run/secrets/{name}")
miranda.wait_for_unit("mcpo.service")
miranda.wait_for_open_port(25530)

call = "curl -sf -H 'Content-Type: application/json' -H 'Authorization: Bearer {key}' http://127.0.0.1:25530/{path} {rest}"


def get(key, path, rest=""):
    return call.format(key=secrets[key], path=path, rest=rest)


miranda.wait_until_succeeds(get("operator", "time/get_current_time", """-d '{"timezone": "UTC"}'"""))

# Each key opens what it was given.
miranda.succeed(get("reader", "time/get_current_time", """-d '{"timezone": "UTC"}'"""))
miranda.fail(get("reader", "athena/echo", """-d '{"value": 1}'"""))

# The remote server takes only the right header, so an answer proves that it arrived.
miranda.wait_until_succeeds(get("operator", "athena/echo", """-d '{"value": 1}'"""))

# The process of a local server has its own secret as a variable, and no other.
pid = "$(pgrep -f 'mcp-server-time.*UTC' | tail -1)"
miranda.succeed(f"tr '\\0' '\\n' < /proc/{pid}/environ | grep -qx TIME_TOKEN=secret-of-time")
miranda.fail(f"grep -qE 'secret-of-(context7|athena)|key-of' /proc/{pid}/environ")
# The gateway has none of the local servers' secrets, not even in its credentials.
credentials = "/run/credentials/mcpo.service"
miranda.succeed(f"grep -qr secret-of-athena {credentials}")
miranda.fail(f"grep -qrE 'secret-of-(time|context7)' {credentials}")

# Nothing is written down anywhere.
for value in secrets.values():
    miranda.fail(f"journalctl --no-pager --all --output=export | grep -aF {value}")
    miranda.fail(f"grep -rF {value} /etc/mcpo/ /etc/systemd/system/ 2>/dev/null")
    miranda.fail(f"tr '\\0' ' ' < /proc/$(systemctl show -P MainPID mcpo)/cmdline | grep -F {value}")

# A secret that is missing makes one server unavailable and says so; the gateway starts all the same.
miranda.succeed("rm /run/secrets/athena", "systemctl restart mcpo")
miranda.wait_for_open_port(25530)
miranda.wait_until_succeeds(get("operator", "time/get_current_time", """-d '{"timezone": "UTC"}'"""))
miranda.fail(get("operator", "athena/echo", """-d '{"value": 1}'"""))
