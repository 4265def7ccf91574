as_a_user = "setpriv --reuid=65534 --regid=65534 --clear-groups env HOME=/tmp"

with subtest("without an argument it serves two servers and the page, on the loopback alone"):
    machine.succeed(f"systemd-run --quiet --unit=local -- {as_a_user} $(command -v mcpo-local)")
    machine.wait_until_succeeds(post("/time/get_current_time", NOW))
    machine.wait_until_succeeds(curl("/context7/openapi.json") + " | grep -q resolve-library-id")
    machine.succeed(curl("/docs") + " | grep -qi swagger")
    machine.fail("curl -sS --max-time 5 http://$(hostname -I | cut -d ' ' -f 1):8000/health")

with subtest("it ends with Ctrl-C, and leaves nothing behind"):
    machine.succeed("systemctl kill --kill-whom=main --signal=INT local.service")
    machine.wait_until_fails("systemctl is-active local.service")
    machine.fail("pgrep -u 65534")

with subtest("with arguments it is mcpo"):
    machine.succeed("mcpo-local check --help | grep -qi config")
