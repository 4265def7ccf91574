"""The unit that home-manager gets (nix/home-manager.nix), run by the systemd of one user."""

UNITS = "/opt/mcpo-tests/appliance/units/home/user"
RUN = "/run/user/1900"
as_user = f"setpriv --reuid=1900 --regid=1900 --clear-groups env XDG_RUNTIME_DIR={RUN} HOME=/home/somebody"
systemctl = f"{as_user} systemctl --user"

with subtest("it starts with its user's other services, and its servers are found by the path of the unit"):
    packages = {path.rsplit("/", 1)[1].split("-", 1)[1]: path for path in machine.succeed(f"cat {UNITS}/store-paths").split()}
    server = real_time()
    for path in packages.values():
        machine.succeed(f"mkdir -p $(dirname {path})")
    machine.succeed(
        f"cp {UNITS}/config.json {packages['mcpo.json']}",
        f"mkdir -p {packages['mcpo']}/bin {packages['mcp-server-time']}/bin",
        f"ln -s /usr/local/bin/mcpo {packages['mcpo']}/bin/",
        "useradd --uid 1900 --create-home somebody",
        f"install -d -o somebody -g somebody -m 0700 {RUN}",
        f"install -D -m 0644 {UNITS}/mcpo.service /etc/systemd/user/mcpo.service",
        "systemctl --global enable mcpo.service",
    )
    variables = " ".join(f"{name}={value}" for name, value in server["env"].items())
    script = f"#!/bin/sh\nexport {variables}\nexec {server['command']} {' '.join(server['args'])}\n"
    machine.write(f"{packages['mcp-server-time']}/bin/mcp-server-time", script)
    machine.succeed(f"chmod 755 {packages['mcp-server-time']}/bin/mcp-server-time")
    machine.succeed(
        "systemd-run --quiet --unit=of-somebody --uid=1900 --gid=1900 --property=Delegate=yes --property=Type=notify "
        f"--setenv=XDG_RUNTIME_DIR={RUN} --setenv=HOME=/home/somebody /lib/systemd/systemd --user"
    )
    machine.wait_until_succeeds(f"{systemctl} is-active mcpo.service")
    check("UTC" in call("/time/get_current_time", {"timezone": "UTC"}), "the time was not told")

with subtest("it runs as that user, keeps its state there, and is there again after a crash"):
    process = machine.succeed(f"{systemctl} show -P MainPID mcpo.service").strip()
    check(machine.succeed(f"stat -c %U /proc/{process}").strip() == "somebody", "it runs as another user")
    machine.wait_until_succeeds("find /home/somebody -path '*/mcpo/*' -type f | grep -q .")
    machine.succeed(f"kill -KILL {process}")
    machine.wait_until_succeeds(f"test $({systemctl} show -P NRestarts mcpo.service) = 1 && {systemctl} is-active mcpo.service")
    check("UTC" in call("/time/get_current_time", {"timezone": "UTC"}), "the time was not told")

with subtest("nothing of it is left when the user's services end"):
    machine.succeed("systemctl stop of-somebody.service")
    machine.fail("pgrep --uid somebody")
