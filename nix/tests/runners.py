import json


def where(server):
    """What the fetched program tells of where it runs."""
    return json.loads(machine.succeed(post(f"/{server}/where")))


with subtest("each is fetched and started, and answers"):
    machine.wait_until_succeeds(ready(2))
    told = {server: where(server) for server in ["node", "python"]}
    assert told["node"]["runtime"].startswith("node v") and told["python"]["runtime"].startswith("python 3"), told

with subtest("what was fetched is in the cache of its server"):
    for server, place in told.items():
        # systemd keeps those of dynamic users in private/.
        program = place["program"].replace("/private/", "/")
        assert program.startswith(f"/var/cache/mcpo-server-{server}/"), place

with subtest("the programs that it finds are those of the store alone"):
    for server, place in told.items():
        outside = [folder for folder in place["path"].split(":") if not folder.startswith("/nix/store/")]
        # npx and uvx put what they fetched first; npm adds the same of each folder above the one that it runs in.
        fetched = [folder for folder in outside if "node_modules" in folder or f"/mcpo-server-{server}/" in folder]
        assert outside == fetched, outside

with subtest("with the registry down, what npx fetched once still starts; uvx asks its index each time"):
    machine.succeed("systemctl stop stand-in-registry.service", "systemctl stop 'mcpo-server-*@*.service'")
    machine.wait_until_succeeds(post("/node/where"))

with subtest("with the registry down and nothing fetched, the reason is what npx and uvx said"):
    machine.succeed("rm -rf /var/cache/private/mcpo-server-*/*", "systemctl stop 'mcpo-server-*@*.service'")
    machine.wait_until_succeeds("systemctl show -P StatusText mcpo.service | grep -q '^0 of 2 servers ready; '")
    for server in told:
        machine.wait_until_succeeds(f"journalctl --no-pager -t mcpo-server-{server} | grep -qi 'refused'")

with subtest("with the registry back they are back by themselves"):
    machine.succeed("systemctl start stand-in-registry.service")
    machine.wait_until_succeeds(ready(2))
