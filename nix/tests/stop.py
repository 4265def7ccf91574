with subtest("a call in flight is answered before the unit stops"):
    slow = post("/athena/ponder", '{"seconds": 2, "text": "slowly"}', operator, "-o /run/answer")
    miranda.succeed(f"systemd-run --quiet --unit=slow-call --remain-after-exit -- {slow}")
    # It is on its way.
    miranda.wait_until_succeeds(curl("/metrics", operator) + " | grep -q 'mcpo_calls_in_flight{mcp_server=\"athena\"} 1'")
    miranda.succeed("systemctl stop mcpo.service")
    miranda.succeed("grep -q 'athena ponder slowly' /run/answer")
    assert miranda.succeed("systemctl show -P Result slow-call.service").strip() == "success"

with subtest("it ended well, and nothing of the servers is left"):
    assert miranda.succeed("systemctl show -P Result mcpo.service").strip() == "success"
    assert miranda.succeed("systemctl show -P ExecMainStatus mcpo.service").strip() == "0"
    miranda.wait_until_succeeds("test -z \"$(systemctl list-units --plain --no-legend --state=running 'mcpo-server-*@*')\"")
    miranda.fail("pgrep -f 'mcp-server-time.*UTC'")

with subtest("the sockets stay, and the next start finds them"):
    miranda.succeed("systemctl is-active mcpo-server-time.socket mcpo-server-context7.socket")
    miranda.succeed("systemctl start mcpo.service")
    miranda.wait_until_succeeds(ready(3))
