# Run in the place of a server, in its sandbox: tries what it must not do, and tells on stderr what it could.
PROGRAM = r"""
try() { # what, command...
  local what=$1
  shift
  if ("$@") 2>/dev/null; then echo "probe: $what: allowed" >&2; else echo "probe: $what: denied" >&2; fi
}
reads() { for file in "$@"; do read -r -N 1 _ <"$file" && return; done; return 1; }
writes() { echo probe >"$1"; }
connects() { timeout 2 "$BASH" -c ": <>/dev/tcp/$1/$2"; }
enters() { cd "$1"; }

try "own secret" test -n "$TIME_TOKEN"
try "own temporary files" writes /tmp/probe
try "the secrets' files" reads /run/secrets/*
try "the gateway's credentials" reads /run/credentials/mcpo.service/*
try "another server's credentials" reads /run/credentials/mcpo-server-context7@*/*
try "the gateway's environment" reads "/proc/$GATEWAY/environ"
try "the environment of init" reads /proc/1/environ
try "the sockets of servers" enters /run/mcpo-servers
try "the gateway's port" connects 127.0.0.1 25530
try "another address" connects "$ADDRESS" 22461
try "homes" enters /root
try "the configuration of the system" writes /etc/probe
try "programs" writes /usr/probe
try "the kernel's settings" writes /proc/sys/kernel/hostname
try "the control groups" mkdir /sys/fs/cgroup/probe
try "the kernel's log" reads /dev/kmsg
echo "probe: end" >&2
"""
with subtest("systemd counts at most 1.5 of 10 for what the gateway may do"):
    miranda.succeed("systemd-analyze security --threshold=15 mcpo.service")

with subtest("each server has a user of its own, neither root nor the gateway's"):
    # `run-server` and the server itself run as the unit's user.
    processes = {name: f"$(systemctl show -P MainPID $({instances(name)}))" for name in ["time", "context7"]}
    processes["mcpo"] = "$(systemctl show -P MainPID mcpo.service)"
    users = {miranda.succeed(f"stat -c %u /proc/{process}").strip() for process in processes.values()}
    assert len(users) == 3 and "0" not in users, users

with subtest("only the gateway's user can connect to a server"):
    assert miranda.succeed("stat -c '%U %a' /run/mcpo-servers/time.sock").strip() == "mcpo 600"
    assert miranda.succeed("stat -c '%U:%G %a' /run/mcpo-servers").strip() == "root:mcpo 750"
    connect = "curl -sS --max-time 1 --unix-socket /run/mcpo-servers/time.sock http://server/ 2>&1"
    # 7: it could not connect. The gateway's user can, and then waits for an answer in HTTP that never comes.
    refused = miranda.execute(f"setpriv --reuid=65534 --regid=65534 --clear-groups {connect}")
    assert refused[0] == 7, refused
    taken = miranda.execute(f"setpriv --reuid=mcpo --regid=mcpo --clear-groups {connect}")
    assert taken[0] not in (0, 7), taken

with subtest("the gateway reads its own secrets, and none that a server was given"):
    # As its user, behind its walls.
    gateway = miranda.succeed("systemctl show -P MainPID mcpo.service").strip()
    inside = f"nsenter --target={gateway} --mount -- setpriv --reuid=mcpo --regid=mcpo --clear-groups"
    miranda.succeed(f"{inside} cat /run/credentials/mcpo.service/key-operator")
    server = f"$(pgrep --parent $(systemctl show -P MainPID $({instances('context7')})))"
    for file in [
        "/run/credentials/mcpo-server-context7@*/CONTEXT7_API_KEY",
        "/run/credentials/mcpo-server-time@*/TIME_TOKEN",
        "/run/secrets/context7",
        f"/proc/{server}/environ",
    ]:
        miranda.succeed(f"test -n \"$(cat {file} | tr -d '\\0')\"")
        miranda.fail(f"{inside} cat $(echo {file})")

PROBE = "/run/systemd/system/mcpo-server-time@.service.d/probe.conf"
allowed_in_the_sandbox = {"own secret", "own temporary files"}


def told(command):
    """What a run of the probe told, by what it tried."""
    lines = [line.split("probe: ")[1].rsplit(": ", 1) for line in miranda.succeed(command).splitlines() if "probe: " in line]
    return {line[0]: line[1] for line in lines if len(line) == 2}


with subtest("a program in a server's place can read, reach and change nothing but its own"):
    write(miranda, "/run/probe.sh", PROGRAM)
    # Where the stand-in of athena listens.
    address = miranda.succeed("hostname -I").split()[0]
    # The same sandbox around another program: only the command is replaced.
    miranda.succeed(
        f"mkdir -p $(dirname {PROBE})",
        "start=$(systemctl cat mcpo-server-time@.service | sed -n 's/^ExecStart=\\(.*\\) -- .*/\\1/p')"
        "; gateway=$(systemctl show -P MainPID mcpo.service)"
        "; printf '[Service]\\nEnvironment=GATEWAY=%s ADDRESS=%s\\nExecStart=\\nExecStart=%s -- %s /run/probe.sh\\n'"
        f" $gateway {address} \"$start\" $(readlink -f $(command -v bash)) > {PROBE}",
        "systemctl daemon-reload",
    )
    miranda.succeed("systemctl stop 'mcpo-server-time@*.service'")
    journal = "journalctl --no-pager --output=cat -t mcpo-server-time"
    miranda.wait_until_succeeds(f"{journal} | grep -q 'probe: end'")
    inside = told(journal)
    assert {what for what, outcome in inside.items() if outcome == "allowed"} == allowed_in_the_sandbox, inside

with subtest("without the sandbox the same program can do all of it"):
    outside = told(
        f"GATEWAY=$(systemctl show -P MainPID mcpo.service) ADDRESS={address} TIME_TOKEN=x"
        " bash /run/probe.sh 2>&1; rm -f /etc/probe /usr/probe; rmdir /sys/fs/cgroup/probe"
    )
    # What a container itself denies to its root proves nothing.
    of_the_machine = {"the kernel's settings", "the kernel's log", "programs"}
    denied = {what for what, outcome in outside.items() if outcome == "denied"}
    assert outside.keys() == inside.keys() and denied <= of_the_machine, outside

REACHES = r"""
connects() { timeout 2 "$BASH" -c ": <>/dev/tcp/$1/22461" 2>/dev/null && echo "probe: $1: allowed" >&2 || echo "probe: $1: denied" >&2; }
for address in $ADDRESSES; do connects "$address"; done
"$PYTHON" -c 'import socket; socket.create_server(("", 4711))' 2>/dev/null && echo "probe: a port: allowed" >&2 || echo "probe: a port: denied" >&2
echo "probe: end" >&2
"""
with subtest("a server for which there is only the internet reaches no machine that is private, and opens no port"):
    private = ["127.0.0.1", "10.9.8.7", "192.168.9.8", "169.254.169.254"]
    for other in private[1:]:
        miranda.succeed(f"ip address add {other}/32 dev lo")
    write(miranda, "/run/reaches.sh", REACHES)
    probe = PROBE.replace("time", "context7")
    miranda.succeed(
        f"mkdir -p $(dirname {probe})",
        "start=$(systemctl cat mcpo-server-context7@.service | sed -n 's/^ExecStart=\\(.*\\) -- .*/\\1/p')"
        "; printf '[Service]\\nEnvironment=\"ADDRESSES=%s\" PYTHON=%s\\nExecStart=\\nExecStart=%s -- %s /run/reaches.sh\\n'"
        f" '{' '.join([address, *private])}' $(command -v python3) \"$start\" $(readlink -f $(command -v bash)) > {probe}",
        "systemctl daemon-reload",
        "systemctl stop 'mcpo-server-context7@*.service'",
    )
    journal = "journalctl --no-pager --output=cat -t mcpo-server-context7"
    miranda.wait_until_succeeds(f"{journal} | grep -q 'probe: end'")
    reached = told(journal)
    # SocketBindDeny= counts where systemd was built for it, which Debian's was not.
    port = "denied" if "+BPF_FRAMEWORK" in miranda.succeed("systemctl --version") else reached["a port"]
    assert reached == {address: "allowed", **{other: "denied" for other in private}, "a port": port}, reached
    for other in private:
        miranda.succeed(f"timeout 2 bash -c ': <>/dev/tcp/{other}/22461'")
    miranda.succeed("python3 -c 'import socket; socket.create_server((\"\", 4711))'")
