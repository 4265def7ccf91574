import json

at = {"key": keys["client"], "host": "balancer.incus"}
names = json.dumps({"entities": [{"name": "Ada", "entityType": "person", "observations": ["wrote the first program"]}]})


def told(command):
    return stateful.wait_until_succeeds(command)


with subtest("every replica is reached by HAProxy, and has the state of the one server that keeps it"):
    assert "Ada" in told(post("/memory/create_entities", names, **at))
    for _ in range(6):
        assert "first program" in stateful.succeed(post("/memory/read_graph", **at))
    # HAProxy may have seen one of them start a moment later.
    call, log = post("/memory/read_graph", **at), "journalctl --no-pager --unit mcpo.service"
    for replica in replicas:
        replica.wait_until_succeeds(f"{call} > /dev/null && {log} | grep -q 'memory/read_graph ok'")

with subtest("every replica counts in the store"):
    for _ in range(2 * len(replicas)):
        told(curl("/servers", **at) + """ | grep -q '"shared":{[^}]*"state":"ready"'""")

with subtest("a rate of three an hour lets three calls through, at whichever replica"):
    of_limited = post("/memory/read_graph", key=keys["limited"], host="balancer.incus")
    for _ in range(3):
        stateful.succeed(of_limited)
    assert "429" in stateful.fail(of_limited + " 2>&1")


def mcp(message, options=""):
    accept = "-H 'Accept: application/json, text/event-stream' -H 'Content-Type: application/json'"
    return curl("/mcp", options=f"{accept} -d '{json.dumps({'jsonrpc': '2.0', **message})}' {options}", **at)


with subtest("a session goes on while one replica after the other restarts, and when one is lost"):
    hello = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}
    stateful.succeed(mcp({"id": 1, "method": "initialize", "params": hello}, "-D /run/head -o /dev/null"))
    session = "-H \"Mcp-Session-Id: $(sed -n 's/^mcp-session-id: *//Ip' /run/head | tr -d '\\r')\""
    listed = mcp({"id": 2, "method": "tools/list"}, session) + " | grep -q memory_read_graph"
    stateful.succeed(listed)
    for replica in replicas:
        replica.succeed("systemctl restart --no-block mcpo.service")
        # Without a pause: no call may be lost.
        while replica.execute("systemctl show --property=SubState mcpo.service | grep -q stop")[0] == 0:
            stateful.succeed(listed)
        replica.wait_until_succeeds(ready(2))
        stateful.succeed(listed)
    two.block()
    # HAProxy sees it after two looks.
    stateful.wait_until_succeeds(listed)
    two.unblock()


def posted():
    """How many messages of MCP clients all replicas had."""
    # Past HAProxy, whose port is that of the other commands.
    read = f"curl -sS --fail -H 'Authorization: Bearer {keys['client']}' http://127.0.0.1:25530/metrics > /run/metrics"
    counted = read + r""" && sed -n 's/^http_server_request_duration_seconds_count{.*"\/mcp"} //p' /run/metrics"""
    return sum(int(number) for replica in replicas for number in replica.succeed(counted).split())


with subtest("what a client without a session answers finds the replica where its call waits"):
    said = {"protocolVersion": "2026-07-28", "clientInfo": hello["clientInfo"], "clientCapabilities": {"elicitation": {"form": {}}}}
    said = {f"io.modelcontextprotocol/{name}": value for name, value in said.items()}
    heads = {"MCP-Protocol-Version": "2026-07-28", "Mcp-Method": "tools/call", "Mcp-Name": "asks_ask", "Mcp-Param-Message": "who"}
    heads = " ".join(f"-H '{name}: {value}'" for name, value in heads.items())

    def called(**more):
        params = {"name": "asks_ask", "arguments": {"message": "who"}, "_meta": said, **more}
        answer = stateful.succeed(mcp({"id": 3, "method": "tools/call", "params": params}, heads))
        events = [line.removeprefix("data: ") for line in answer.splitlines() if line.startswith("data: ")]
        return json.loads(events[-1] if events else answer)["result"]

    before = posted()
    for _ in range(3):
        asked = called()
        answers = {key: {"action": "accept", "content": {"name": "Ada"}} for key in asked["inputRequests"]}
        done = called(requestState=asked["requestState"], inputResponses=answers)
        assert "accept" in done["content"][0]["text"], done
    # HAProxy takes turns: answers came to others than the one that asked, and were passed on.
    assert posted() > before + 6

with subtest("the store is of the replicas alone, and no secret stands in a configuration"):
    assert "NOAUTH" in stateful.succeed("printf 'PING\\r\\nQUIT\\r\\n' | timeout 5 bash -c 'exec 3<>/dev/tcp/balancer.incus/6379; cat >&3; head -n 1 <&3'")
    for secret in [*keys.values(), *shared.values()]:
        one.fail(f"grep -F '{secret}' /etc/mcpo/config.json")
        one.fail(f"journalctl --no-pager --all --output=export | grep -aF '{secret}'")
