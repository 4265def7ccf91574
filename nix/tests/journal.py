import json


def entries(matches):
    miranda.succeed("journalctl --sync")
    return [json.loads(line) for line in miranda.succeed(f"journalctl --no-pager -o json {matches}").splitlines()]


with subtest("`journalctl -u mcpo` has a line for each call, with fields to ask for"):
    miranda.succeed(post("/time/get_current_time", NOW, reader, "-H 'X-Request-Id: from-the-caller'"))
    [call] = entries("-u mcpo.service MCP_TOOL=get_current_time")
    expected = {
        "MCP_SERVER": "time",
        "OUTCOME": "ok",
        "API_KEY_NAME": "reader",
        "SYSLOG_IDENTIFIER": "mcpo",
        "PRIORITY": "6",
    }
    assert {name: call.get(name) for name in expected} == expected, call
    assert float(call["DURATION_MS"]) > 0 and call["REQUEST_ID"], call
    assert "get_current_time" in call["MESSAGE"], call

with subtest("a refusal is a line as well"):
    miranda.fail(post("/athena/ask", "{}", reader))
    assert entries("-u mcpo.service API_KEY_NAME=reader OUTCOME=not_found")

with subtest("each server's start is told with its name"):
    for server in ["time", "context7", "athena"]:
        assert entries(f"-u mcpo.service MCP_SERVER={server}"), server

with subtest("what a server writes on stderr stands under the server's own name"):
    lines = entries("-t mcpo-server-context7")
    assert any("running on stdio" in str(line["MESSAGE"]) for line in lines), lines
    assert all(line["_SYSTEMD_UNIT"].startswith("mcpo-server-context7@") for line in lines), lines

with subtest("both kinds of units are those that the rule for Loki gathers"):
    units = {line["_SYSTEMD_UNIT"] for line in entries("-t mcpo") + entries("-t mcpo-server-context7")}
    assert "mcpo.service" in units and all(unit.startswith("mcpo") for unit in units), units
