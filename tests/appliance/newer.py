"""What systemd has had since 253, and what Debian's was built with since 13."""

with subtest("the unit is one that tells of its reload, and systemd can filter ports"):
    assert miranda.succeed("systemctl show -P Type mcpo.service").strip() == "notify-reload"
    assert "+BPF_FRAMEWORK" in miranda.succeed("systemctl --version")

with subtest("a reload is over when `systemctl reload` returns, and the gateway is the same process"):
    process = miranda.succeed("systemctl show -P MainPID mcpo.service")
    config = miranda.succeed("readlink -f /etc/mcpo/config.json").strip()
    for host in ["localhost", "127.0.0.1"] * 3:
        miranda.succeed(f"sed -i 's#http://.*:22461#http://{host}:22461#' {config}", "systemctl reload mcpo.service")
        # At once, and not after some time.
        assert f"{host}:22461" in miranda.succeed(curl("/servers", operator)), host
    assert miranda.succeed("systemctl show -P MainPID mcpo.service") == process
    miranda.wait_until_succeeds(ready(3))
