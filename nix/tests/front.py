import json

at = {"key": "key-of-caller", "host": "machine.incus"}

with subtest("a caller on another machine reaches tools and page by nginx, and nothing without its key"):
    assert "rommie status" in caller.succeed(post("/rommie/status", **at))
    caller.succeed(curl("/docs", host="machine.incus") + " | grep -qi swagger")
    assert "401" in caller.fail(post("/rommie/status", host="machine.incus", options="2>&1"))
    caller.fail("curl -sS --max-time 5 http://machine.incus:8000/health")

with subtest("an upload that is larger than nginx takes by itself arrives"):
    caller.succeed("(printf '{\"text\": \"'; head -c 3000000 /dev/zero | tr '\\0' x; printf '\"}') > /run/large")
    caller.succeed(curl("/rommie/say", options="-H 'Content-Type: application/json' -d @/run/large -o /dev/null", **at))


def mcp(message, options=""):
    accept = "-H 'Accept: application/json, text/event-stream' -H 'Content-Type: application/json'"
    return curl("/mcp", options=f"{accept} -d '{json.dumps(message)}' {options}", **at)


with subtest("an event arrives while its stream is open"):
    hello = {
        "jsonrpc": "2.0", "id": 1, "method": "initialize",
        "params": {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}},
    }
    caller.succeed(mcp(hello, "-D /run/head -o /dev/null"))
    session = "-H \"Mcp-Session-Id: $(sed -n 's/^mcp-session-id: *//Ip' /run/head | tr -d '\\r')\""
    caller.succeed(mcp({"jsonrpc": "2.0", "method": "notifications/initialized"}, session))
    stream = curl("/mcp", options=f"--no-buffer -H 'Accept: text/event-stream' {session}", **at).replace("--max-time 20", "--max-time 60")
    write(caller, "/run/listen.sh", stream + " > /run/events")
    caller.succeed("systemd-run --quiet --unit=listen -- $(command -v bash) /run/listen.sh")
    caller.wait_until_succeeds("test -e /run/events")
    # Until the stream is open a change would be told to no stream. The other connection is the one that asks.
    machine.wait_until_succeeds("curl -sS -H 'Authorization: Bearer key-of-caller' http://127.0.0.1:8000/metrics | grep -q '^mcpo_connections_open [2-9]'")
    config = json.loads(machine.succeed("cat /etc/mcpo/config.json"))
    del config["mcpServers"]["korax"]
    write(machine, "/run/changed.json", json.dumps(config))
    machine.succeed("cp --remove-destination /run/changed.json /etc/mcpo/config.json", "systemctl reload mcpo.service")
    caller.wait_until_succeeds("grep -q tools/list_changed /run/events")
    caller.succeed("systemctl is-active listen.service")
