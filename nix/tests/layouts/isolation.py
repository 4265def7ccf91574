secrets = {name: f"secret-of-{name}" for name in ["operator", "reader", "time", "time-key", "context7", "athena", "audit"]}
operator, reader = secrets["operator"], secrets["reader"]
start_all()
give(miranda, secrets)
# Not at its next try by itself.
miranda.succeed("systemctl restart mcpo.service")
miranda.wait_until_succeeds(ready(3))
for server in ["time", "context7"]:
    # Those of an earlier start end with their connections.
    miranda.wait_until_succeeds(f"test $({instances(server)} | wc -l) = 1")
