start_all()
miranda.succeed("mkdir -p -m 0700 /run/secrets")
for name in ["operator", "reader", "time", "context7", "athena"]:
    miranda.succeed(f"umask 077; echo value-of-{name} > /run/secrets/{name}")
miranda.wait_for_unit("mcpo.service")

health = "test $(curl -s -o /dev/null -w '%{http_code}' http://localhost:25530/docs) = 200"
# The port is open when the unit is active: the check needs no retry.
miranda.succeed(health)
for _ in range(3):
    miranda.succeed("systemctl restart mcpo", health)
miranda.succeed("systemctl stop mcpo")
assert miranda.succeed("systemctl show -P Result mcpo").strip() == "success"
