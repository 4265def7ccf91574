# What the images of Incus put beside the units of a container without `security.nesting`.
miranda.succeed(
    "mkdir -p /run/systemd/system/service.d",
    "printf '[Service]\\nProcSubset=all\\nProtectProc=default\\nProtectControlGroups=no\\nProtectKernelTunables=no\\n"
    "NoNewPrivileges=no\\nLoadCredential=\\nImportCredential=\\nPrivateNetwork=no\\n'"
    " > /run/systemd/system/service.d/zzz-lxc-service.conf",
    "systemctl daemon-reload",
)

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

with subtest("a drop-in that sorts after it gives back what was taken, and all is well"):
    taken = "ProcSubset|ProtectProc|ProtectControlGroups|ProtectKernelTunables|NoNewPrivileges|LoadCredential|PrivateNetwork"
    for unit in ["mcpo.service", "mcpo-server-time@.service", "mcpo-server-context7@.service"]:
        # As the unit itself has them: the first part of what `systemctl cat` shows.
        miranda.succeed(
            f"mkdir -p /run/systemd/system/{unit}.d",
            f"(echo '[Service]'; systemctl cat {unit} | sed '/zzz-lxc-service.conf/,$d' | grep -E '^({taken})=')"
            f" > /run/systemd/system/{unit}.d/zzzz-mcpo.conf",
        )
    miranda.succeed("systemctl daemon-reload", "systemctl restart mcpo.service")
    miranda.wait_until_succeeds(ready(3))
    miranda.succeed(post("/time/get_current_time", NOW, operator))
