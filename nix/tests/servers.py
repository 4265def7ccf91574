import json

# A tool of each, what to ask, and a part of the answer.
calls = {
    "time": ("get_current_time", NOW, "UTC"),
    "neo4j-cypher": ("get_neo4j_schema", "{}", "neo4j-cypher get_neo4j_schema"),
    "neo4j-memory": ("read_graph", "{}", "neo4j-memory read_graph"),
    "grafana": ("search_dashboards", "{}", "grafana search_dashboards"),
    "gitea": ("list_my_repos", "{}", "gitea list_my_repos"),
    "argos-searxng": ("searxng_web_search", "{}", "argos-searxng searxng_web_search"),
    "athena": ("ask", "{}", "athena ask"),
    "github": ("get_me", "{}", "github get_me"),
    "rommie": ("status", "{}", "rommie status"),
    "caliban": ("screenshot", "{}", "caliban screenshot"),
    "korax": ("ask", "{}", "korax ask"),
    "huggingface": ("hf_whoami", "{}", "huggingface hf_whoami"),
}

with subtest("a client on another host reaches a tool of every server"):
    for server, (tool, arguments, answer) in calls.items():
        told = prospero.succeed(post(f"/{server}/{tool}", arguments, caller, host="miranda.incus"))
        assert answer in told, f"{server}: {told}"

with subtest("context7 runs, and says that it cannot reach its own service from here"):
    document = json.loads(prospero.succeed(curl("/openapi.json", caller, host="miranda.incus")))
    assert "/upstash-context7/resolve-library-id" in document["paths"], list(document["paths"])
    arguments = '{"libraryName": "axum", "query": "routes"}'
    prospero.succeed(
        post("/upstash-context7/resolve-library-id", arguments, caller, host="miranda.incus").replace(
            "--fail-with-body", ""
        )
        + " | grep -qi 'error\\|fetch\\|fail'"
    )

with subtest("each secret arrived at the server that it is for, and at no other"):
    assert puck.succeed("cat /run/stand-in-athena/athena") == "Bearer token-of-athena\n"
    assert internet.succeed("cat /run/stand-in-internet/github") == "Bearer token-of-github\n"
    assert internet.succeed("cat /run/stand-in-internet/huggingface") == "Bearer token-of-huggingface\n"
    for host, servers in {
        miranda: ["neo4j-cypher", "neo4j-memory", "grafana", "argos-searxng", "gitea"],
        caliban: ["rommie", "caliban"],
        korax: ["korax"],
    }.items():
        for server in servers:
            assert host.succeed(f"cat /run/stand-in-{server}/{server}") == "-\n", server

with subtest("no caller without a key, and none with a wrong one"):
    for key, status in {None: 401, "wrong": 403}.items():
        answer = post("/time/get_current_time", NOW, key, "-o /dev/null -w '%{http_code}'", "miranda.incus")
        assert prospero.fail(answer) == str(status)

with subtest("the health check of the site"):
    prospero.succeed(curl("/docs", host="miranda.incus", options="-o /dev/null"))

with subtest("Prometheus reads the gateway with its own key, which opens no server"):
    query = "curl -sS --get http://localhost:9090/api/v1/query --data-urlencode"
    prospero.wait_until_succeeds(query + " 'query=up{job=\"mcpo\"} == 1' | grep -q miranda.incus:25530")
    prospero.wait_until_succeeds(query + " 'query=sum(mcpo_server_state{state=\"ready\"})' | grep -q '\"13\"'")
    prospero.fail(post("/time/get_current_time", NOW, keys["mcpo-prometheus"], host="miranda.incus"))

with subtest("Prometheus has the alerts, and one begins while the gateway cannot be reached"):
    alert = query + " 'query=ALERTS{alertname=\"McpoDown\",alertstate=\"pending\"}' | grep -q miranda.incus:25530"
    prospero.fail(alert)
    miranda.block()
    prospero.wait_until_succeeds(alert)
    miranda.unblock()
    prospero.wait_until_fails(alert)
    miranda.wait_until_succeeds(ready(13))

with subtest("the configuration is where operators look for it, without a secret"):
    assert miranda.succeed("readlink -f /srv/mcpo/config.json /etc/mcpo/config.json | uniq | wc -l").strip() == "1"
    for secret in [*keys.values(), *tokens.values()]:
        miranda.fail(f"grep -F {secret} /srv/mcpo/config.json")
        miranda.fail(f"journalctl --no-pager --all --output=export | grep -aF {secret}")
