health = "test $(curl -sS -o /dev/null -w '%{http_code}' http://localhost:25530/docs) = 200"

with subtest("the restart play: after each restart the health check passes at once, without a retry"):
    for _ in range(3):
        miranda.succeed("systemctl restart mcpo.service", health)

with subtest("it is started again when it dies"):
    before = miranda.succeed("systemctl show -P MainPID mcpo.service")
    miranda.succeed("systemctl kill --signal=KILL mcpo.service")
    miranda.wait_until_succeeds(health)
    assert miranda.succeed("systemctl show -P MainPID mcpo.service") != before
    miranda.wait_until_succeeds(ready(3))

with subtest("the instances of the dead gateway ended with their connections"):
    for server in ["time", "context7"]:
        miranda.wait_until_succeeds(f"test $({instances(server)} | wc -l) = 1")
