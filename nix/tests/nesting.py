in_incus(miranda)

with subtest("a server without its isolation does not run, and its unit says what to set"):
    miranda.succeed("systemctl stop 'mcpo-server-*@*.service'")
    for server in ["time", "context7"]:
        miranda.wait_until_succeeds(f"journalctl --no-pager -t mcpo-server-{server} | grep -q security.nesting")
    miranda.fail("pgrep -f 'mcp-server-time.*UTC'")

with subtest("the gateway says so as the reason of each"):
    miranda.wait_until_succeeds("systemctl show -P StatusText mcpo.service | grep -q '^1 of 3 servers ready; '")
    shown = miranda.succeed(curl("/servers", operator))
    assert shown.count("security.nesting") >= 2, shown

with subtest("the gateway itself does not start open to all when its keys are taken away"):
    miranda.execute("systemctl restart mcpo.service")
    miranda.wait_until_succeeds("journalctl --no-pager -u mcpo.service | grep -q 'security.nesting'")
    miranda.fail(post("/time/get_current_time", NOW))

with subtest("where the drop-in is masked for the units alone, all is well"):
    for unit in ["mcpo.service", "mcpo-server-time@.service", "mcpo-server-context7@.service"]:
        folder = f"/run/systemd/system/{unit}.d"
        miranda.succeed(f"mkdir -p {folder}", f"ln -s /dev/null {folder}/zzz-lxc-service.conf")
    miranda.succeed("systemctl daemon-reload", "systemctl restart mcpo.service")
    miranda.wait_until_succeeds(ready(3))
    miranda.succeed(post("/time/get_current_time", NOW, operator))
