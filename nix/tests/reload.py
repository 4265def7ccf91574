import json

CONFIG = "/etc/mcpo/config.json"
time_call = post("/time/get_current_time", NOW, operator)
gateway = miranda.succeed("systemctl show -P MainPID mcpo.service")


def switch(change):
    """Puts a changed configuration in place as a switch of the system does: the link is replaced, then a reload."""
    config = json.loads(miranda.succeed(f"cat {CONFIG}"))
    change(config["mcpServers"])
    write(miranda, "/run/changed.json", json.dumps(config))
    miranda.succeed(f"cp --remove-destination /run/changed.json {CONFIG}")


def under_load(command):
    """Runs a command while calls come without a pause; none of them may fail."""
    calls = f"for round in $(seq 40); do {time_call} > /dev/null || exit 1; done"
    miranda.succeed(f"({calls}) & calls=$!; {command}; wait $calls")


def kept():
    return [miranda.succeed(instances(name)) for name in ["time", "context7"]]


with subtest("a changed server is the only one that is touched, and no call is lost"):
    before = kept()
    switch(lambda servers: servers["athena"].update(url="http://localhost:22461/mcp"))
    under_load("systemctl reload mcpo.service")
    miranda.wait_until_succeeds(curl("/servers", operator) + " | grep -q http://localhost:22461")
    miranda.wait_until_succeeds(ready(3))
    assert kept() == before and miranda.succeed("systemctl show -P MainPID mcpo.service") == gateway

with subtest("a server whose program changed gets a new instance, without a lost call"):
    before = kept()
    switch(lambda servers: servers["time"].update(revision="of-another-package"))
    under_load("systemctl reload mcpo.service")
    miranda.wait_until_succeeds(f"test $({instances('time')} | wc -l) = 1")
    after = kept()
    assert after[0] != before[0] and after[1] == before[1], (before, after)
    miranda.wait_until_succeeds(ready(3))

with subtest("another revision of a remote server connects to it anew, and to no other"):
    def connected():
        """How often each was, as the journal has it."""
        log = "journalctl --no-pager --output=cat -u mcpo.service"
        return {name: int(miranda.succeed(f"{log} MCP_SERVER={name} | grep -c ' is ready'")) for name in ["time", "context7", "athena"]}

    before = connected()
    switch(lambda servers: servers["athena"].update(revision="2"))
    miranda.succeed("systemctl reload mcpo.service")
    again = f"test $(journalctl --no-pager --output=cat -u mcpo.service MCP_SERVER=athena | grep -c ' is ready') -gt {before['athena']}"
    miranda.wait_until_succeeds(again)
    miranda.wait_until_succeeds(ready(3))
    after = connected()
    assert {name for name in after if after[name] != before[name]} == {"athena"}, (before, after)

with subtest("a broken configuration changes nothing, and journal and status say why"):
    before = kept()
    miranda.succeed(f"echo '{{' > /run/broken.json; cp --remove-destination /run/broken.json {CONFIG}")
    miranda.succeed("systemctl reload mcpo.service")
    miranda.wait_until_succeeds("systemctl show -P StatusText mcpo.service | grep -q 'the last reload failed'")
    miranda.wait_until_succeeds(f"journalctl -u mcpo.service --priority=err --no-pager | grep -q {CONFIG}")
    miranda.succeed(time_call)
    assert kept() == before
