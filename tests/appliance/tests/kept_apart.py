"""Callers of an isolated server have instances of its unit of their own, which know whom they serve."""

STATE = "/var/lib/private/mcpo-server-memory"
UNITS = "/run/systemd/system"

machine.succeed("getent passwd mcpo || useradd --system --no-create-home --shell /usr/sbin/nologin mcpo")
configure(
    {
        "memory": {
            "command": "/usr/bin/node",
            "args": ["/opt/mcpo-tests/work/node/node_modules/@modelcontextprotocol/server-memory/dist/index.js"],
            "env": {"MEMORY_FILE_PATH": "/var/lib/mcpo-server-memory/${caller}/memory.jsonl"},
            "isolation": "key",
            "unit": {"state": True},
        }
    },
    apiKeys={"ann": "key-of-ann", "bob": "key-of-bob"},
)
machine.succeed(f"mcpo units --config /etc/mcpo/config.json --to {UNITS}")
machine.succeed(f"rm -rf {UNITS}/mcpo.service.d {UNITS}/mcpo.socket.d; mkdir -p /run/mcpo-servers")
machine.succeed("chgrp mcpo /run/mcpo-servers; chmod 0750 /run/mcpo-servers")
drop_in("User=mcpo", "Environment=MCPO_SERVER_SOCKETS=/run/mcpo-servers")
machine.succeed(f"systemctl start mcpo-server-memory.socket; systemctl restart {UNIT}")
machine.wait_until_succeeds(f"systemctl show --property=StatusText {UNIT} | grep -x 'StatusText=1 of 1 servers ready'")


def learn(key, what):
    entity = {"name": what, "entityType": "fact", "observations": ["of one caller"]}
    call("/memory/create_entities", {"entities": [entity]}, key=f"key-of-{key}")


def graph(key):
    read = json.loads(call("/memory/read_graph", {}, key=f"key-of-{key}"))
    return [entity["name"] for entity in read["entities"]]


with subtest("each key has a memory of its own, in an instance of its own"):
    learn("ann", "roses")
    learn("bob", "trains")
    check(graph("ann") == ["roses"] and graph("bob") == ["trains"], f"{graph('ann')} {graph('bob')}")
    instances = machine.succeed("systemctl list-units --no-legend --plain 'mcpo-server-memory@*' | wc -l")
    check(instances.strip() == "3", f"{instances} instances: the gateway's, and one for each key")

with subtest("the directories are the callers' own, and the names are the same after a restart"):
    names = machine.succeed(f"ls {STATE}").split()
    check(len(names) == 3 and all(len(name) == 40 for name in names if name != "gateway"), names)
    machine.succeed(f"systemctl restart {UNIT}")
    machine.wait_until_succeeds(f"systemctl show --property=StatusText {UNIT} | grep -x 'StatusText=1 of 1 servers ready'")
    check(graph("ann") == ["roses"] and graph("bob") == ["trains"], "the memory is gone")
    check(machine.succeed(f"ls {STATE}").split() == names, machine.succeed(f"ls {STATE}"))

machine.succeed(f"systemctl stop {UNIT} mcpo-server-memory.socket; rm {UNITS}/mcpo-server-memory*; systemctl daemon-reload")
