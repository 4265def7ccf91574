import json


def call(server, tool, arguments="{}"):
    return post(f"/{server}/{tool}", arguments, caller)


def servers():
    """What an operator sees of each server."""
    return {entry["name"]: entry for entry in json.loads(miranda.succeed(curl("/servers", operator)))["servers"]}


others = [call("time", "get_current_time", NOW), call("github", "get_me"), call("caliban", "screenshot")]

with subtest("a server that is down is named with its reason, and asks for patience"):
    puck.succeed("systemctl stop stand-in-athena.service")
    refused = miranda.fail(call("athena", "ask") + " -D /run/head -w ' %{http_code}'")
    assert refused.endswith(" 503") and "athena" in refused, refused
    miranda.succeed("grep -qi '^retry-after: [0-9]' /run/head")
    miranda.wait_until_succeeds("systemctl show -P StatusText mcpo.service | grep -q '^12 of 13 servers ready; athena: '")
    athena = servers()["athena"]
    assert athena["state"] == "unavailable" and "refused" in athena["reason"], athena
    miranda.succeed("journalctl -u mcpo.service MCP_SERVER=athena --no-pager | grep -qi 'connection refused'")

with subtest("no other server notices"):
    for other in others:
        miranda.succeed(other)
    assert [name for name, entry in servers().items() if entry["state"] != "ready"] == ["athena"]

with subtest("it comes back by itself"):
    puck.succeed("systemctl start stand-in-athena.service")
    miranda.wait_until_succeeds(ready(13))
    miranda.succeed(call("athena", "ask"))

with subtest("a server that restarts has lost its sessions, and is connected to anew before a caller has to ask"):
    miranda.succeed("systemctl restart stand-in-grafana.service")
    miranda.wait_for_open_port(25533)
    # Where the gateway had seen it gone, the next try may be a second away.
    miranda.wait_until_succeeds(ready(13))
    miranda.succeed(call("grafana", "search_dashboards"))

with subtest("a database that is down is the tool's error: the servers over it stay ready"):
    ariel.succeed("systemctl stop stand-in-neo4j.service")
    told = miranda.fail(call("neo4j-cypher", "read_neo4j_cypher"))
    assert "Neo4j at ariel.incus:7687 cannot be reached" in told, told
    assert servers()["neo4j-cypher"]["state"] == "ready"
    ariel.succeed("systemctl start stand-in-neo4j.service")
    miranda.wait_until_succeeds(call("neo4j-cypher", "read_neo4j_cypher"))

with subtest("a host that is gone without a word delays its own callers alone"):
    korax.block()
    miranda.fail(call("korax", "ask") + " --max-time 2")
    for other in others:
        miranda.succeed(other)
    korax.unblock()
    miranda.wait_until_succeeds(call("korax", "ask"))
    miranda.wait_until_succeeds(ready(13))
