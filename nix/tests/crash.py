start_all()
miranda.succeed("mkdir -p -m 0700 /run/secrets")
for name in ["operator", "reader", "time", "context7", "athena"]:
    miranda.succeed(f"umask 077; echo value-of-{name} > /run/secrets/{name}")
miranda.wait_for_unit("mcpo.service")


def post(path, arguments):
    return (
        "curl -sf -H 'Content-Type: application/json' -H 'Authorization: Bearer value-of-operator'"
        f" http://127.0.0.1:25530/{path} -d '{arguments}'"
    )


def instances(server):
    return miranda.succeed(f"systemctl list-units --plain --no-legend 'mcpo-server-{server}@*' | cut -d ' ' -f 1").split()


time_call = post("time/get_current_time", '{"timezone": "UTC"}')
miranda.wait_until_succeeds(time_call)
miranda.wait_until_succeeds("systemctl list-units --plain --no-legend 'mcpo-server-context7@*' | grep -q running")
context7 = instances("context7")

# Killed in the hardest way, twenty times: the socket must not fall to a trigger limit.
for _ in range(20):
    miranda.succeed("systemctl kill --signal=KILL 'mcpo-server-time@*'")
    miranda.wait_until_succeeds(time_call)
assert instances("context7") == context7, "another server was touched"
miranda.succeed("systemctl is-active mcpo-server-time.socket")
# Failed instances are collected.
miranda.wait_until_succeeds("test $(systemctl list-units --all --plain --no-legend 'mcpo-server-time@*' | wc -l) -le 1")
