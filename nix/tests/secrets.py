echo = post("/athena/ask", "{}", operator)

with subtest("each key opens what it was given"):
    miranda.succeed(post("/time/get_current_time", NOW, operator))
    miranda.succeed(post("/time/get_current_time", NOW, reader))
    miranda.fail(post("/athena/ask", "{}", reader))

with subtest("a key's rate holds for that key alone"):
    miranda.succeed(post("/time/get_current_time", NOW, reader))
    assert "429" in miranda.fail(post("/time/get_current_time", NOW, reader, "2>&1"))
    miranda.succeed(post("/time/get_current_time", NOW, operator))

with subtest("the remote server got its token, and no other"):
    miranda.succeed(echo)
    assert miranda.succeed("cat /run/stand-in-athena/athena") == f"Bearer {secrets['athena']}\n"

with subtest("a local server has its own secret as a variable, and no other"):
    # The server itself, below `run-server`.
    server = f"$(pgrep --parent $(systemctl show -P MainPID $({instances('time')})))"
    variables = miranda.succeed(f"tr '\\0' '\\n' < /proc/{server}/environ").splitlines()
    assert f"TIME_TOKEN={secrets['time']}" in variables, variables
    held = {name for name, value in secrets.items() if any(value in variable for variable in variables)}
    assert held == {"time"}, held

with subtest("a file that a server wants is its own: the variable is the path of a copy that its user alone reads"):
    # `%d` in the unit; the same place in the server's view of the machine.
    path = next(variable.split("=", 1)[1] for variable in variables if variable.startswith("TIME_KEY_FILE="))
    assert path.startswith("/run/credentials/mcpo-server-time@"), path
    assert miranda.succeed(f"cat /proc/{server}/root{path}") == f"{secrets['time-key']}\n"
    for other in ["mcpo", "65534"]:
        miranda.fail(f"setpriv --reuid={other} --regid={other} --clear-groups cat {path}")

with subtest("the gateway holds the secrets of its callers and remote servers alone"):
    credentials = "/run/credentials/mcpo.service"
    for name, value in secrets.items():
        search = f"grep -qrF {value} {credentials}"
        miranda.fail(search) if name in ("time", "time-key", "context7") else miranda.succeed(search)

with subtest("the audit trail is in its directory, for the gateway alone, with digests that nobody can try out"):
    trail = miranda.succeed("cat /var/log/mcpo/audit.jsonl")
    assert '"api_key_name":"reader"' in trail and '"arguments":"hmac-sha256:' in trail, trail
    assert miranda.succeed("stat -c '%a %U' /var/log/mcpo/audit.jsonl") == "600 mcpo\n"

with subtest("nothing is written down anywhere"):
    for value in secrets.values():
        miranda.fail(f"journalctl --no-pager --all --output=export | grep -aF {value}")
        miranda.fail(f"grep -rF {value} /etc/mcpo/ /etc/systemd/system/ /run/systemd/system/ /var/lib/private/ /var/log/mcpo/ 2>/dev/null")
        miranda.fail(f"cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' ' | grep -v 'grep -' | grep -F {value}")
        for path in ["/servers", "/openapi.json", "/metrics"]:
            miranda.fail(curl(path, operator) + f" | grep -F {value}")

with subtest("a secret that is missing makes one server unavailable and says so; the others run"):
    miranda.succeed("rm /run/secrets/athena", "systemctl restart mcpo.service")
    miranda.wait_until_succeeds(post("/time/get_current_time", NOW, operator))
    miranda.fail(echo)
    miranda.wait_until_succeeds("systemctl show -P StatusText mcpo.service | grep -q '^2 of 3 servers ready; athena: '")
    assert "header-athena-Authorization" in miranda.succeed(curl("/servers", operator))
