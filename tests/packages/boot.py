"""The package in a booted Debian: miranda and the hosts around it, as tests/appliance boots them, with the package, the role
of nix/debian and the Ansible of Debian in the place of NixOS."""
import argparse
import contextlib
import json
import re
import signal
import subprocess
import sys
import time
import traceback
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tests/appliance"))
sys.dont_write_bytecode = True

import driver  # noqa: E402
import layouts  # noqa: E402

PORT = 25530
KEY, OPERATOR = "key-of-open-webui", "key-of-operator"
NOW = '{"timezone": "UTC"}'
# Installing and playing take longer than what the scripts of the VM tests wait for.
LONG = 300
README = (ROOT / "nix/debian/README.md").read_text()
# The commands of the README by what is done with them.
COMMANDS = dict(zip(
    ("build", "image", "install", "apply", "encrypt"), [block.splitlines() for block in README.split("```\n")[1::2]], strict=True
))
# What a play of the site finds in its host's variables and its vault.
VARIABLES = {
    "mcpo_package": "/opt/packages/old.deb",
    # No registry is on this network.
    "mcpo_system_packages": [],
    "mcpo_python_packages": [],
    "time_command": "/usr/local/bin/mcp-server-time",
    "context7_command": "/usr/local/bin/context7-mcp",
    "context7_arguments": [],
    "neo4j_cypher_mcp_port": 25531,
    "neo4j_memory_mcp_port": 25532,
    "gitea_mcp_port": 25535,
    "argos_mcp_url": "http://miranda.incus:25534/mcp",
    "athena_mcp_url": "http://puck.incus:22461/mcp",
    "caliban_mcp_url": "http://caliban.incus:22021/mcp",
    "korax_mcp_url": "http://korax.helu.ca:22021/mcp",
    "athena_mcp_auth": "token-of-athena",
    "github_personal_access_token": "token-of-github",
    "huggingface_mcp_token": "token-of-huggingface",
    "vault_mcpo_open_webui_key": KEY,
    "vault_mcpo_operator_key": OPERATOR,
    "vault_mcpo_prometheus_key": "key-of-prometheus",
}
# The unit of the document that the README begins from; a plain web server is in the place of the Python mcpo.
PYTHON_MCPO = """[Service]
User=mcpo
WorkingDirectory=/srv/mcpo
ExecStart=/usr/bin/python3 -m http.server --directory /srv/mcpo/.venv 25530
Restart=always
RestartSec=3
[Install]
WantedBy=multi-user.target
"""


class DebianSite(layouts.Site):
    """The site of the VM tests, where miranda has nothing of the gateway yet."""

    def __init__(self, packages):
        self.packages = packages
        super().__init__("ouranos", packages["binary"])
        # The scraper, and a database that only a container asks.
        for name in ("prospero", "ariel"):
            del self.machines[name]

    def _machine(self, name, binary):
        machine = super()._machine(name, binary)
        if name == "miranda":
            machine.files = {path: text for path, text in machine.files.items() if "mcpo" not in path}
            machine.binds["/opt/packages/old.deb"] = self.packages["old"]
            machine.binds["/opt/packages/new.deb"] = self.packages["new"]
            machine.binds["/opt/debian"] = ROOT / "nix/debian"
            recorded = machine.prepare
            machine.prepare = lambda root: self._without_the_gateway(root, recorded)
        return machine

    def _without_the_gateway(self, root, recorded):
        recorded(root)
        # Where this runs in a container, its image may forbid packages to start services.
        (root / "usr/sbin/policy-rc.d").unlink(missing_ok=True)
        # The index of all manuals is made anew by each installation otherwise.
        (root / "var/lib/man-db/auto-update").unlink(missing_ok=True)
        for name in ("passwd", "group"):
            lines = (root / "etc" / name).read_text().splitlines(keepends=True)
            (root / "etc" / name).write_text("".join(line for line in lines if not line.startswith("mcpo:")))
        for name in ("mcp-server-time", "context7-mcp"):
            self._install(root / "usr/local/bin" / name, layouts.launchers()[name])
        (root / "root/ansible").mkdir(parents=True, exist_ok=True)


class Steps:
    """What the script below does to miranda."""

    def __init__(self, machine):
        self.machine, self.variables = machine, dict(VARIABLES)
        self.found_before = self.named_after_it()

    def play(self, expect_changes, book="deploy.yml"):
        """Runs a playbook; it changes something, or nothing, as expected."""
        self.machine.write("/root/ansible/variables.json", json.dumps(self.variables))
        status, output = self.machine.execute(
            "cd /opt/debian && HOME=/root ANSIBLE_ROLES_PATH=/opt/debian ANSIBLE_LOCALHOST_WARNING=0 ANSIBLE_PIPELINING=1"
            " ANSIBLE_PYTHON_INTERPRETER=/usr/bin/python3 ansible-playbook --inventory miranda.incus, --connection local"
            f" --extra-vars @/root/ansible/variables.json {book} 2>&1",
            timeout=LONG,
        )
        check(status == 0, f"{book} failed:\n{output}")
        changed = int(output.rsplit("changed=", 1)[1].split()[0])
        check((changed > 0) == expect_changes, f"{changed} tasks changed something:\n{output}")
        for secret in self.variables.values():
            check(not (isinstance(secret, str) and secret.startswith(("token-of", "key-of")) and secret in output),
                  "a secret is in the output of Ansible")

    def ready(self, servers):
        self.machine.wait_until_succeeds(
            f"systemctl show --property=StatusText mcpo.service | grep -qx 'StatusText={servers} of {servers} servers ready'", LONG
        )

    def call(self, path, arguments="{}", key=KEY):
        return self.machine.succeed(
            f"curl -sS --fail-with-body --max-time 20 -H 'Authorization: Bearer {key}' -H 'Content-Type: application/json'"
            f" -d '{arguments}' http://127.0.0.1:{PORT}{path}"
        )

    def invocation(self):
        return self.machine.show("mcpo.service", "InvocationID")

    def named_after_it(self):
        return set(self.machine.succeed(
            "find /etc /run /usr /var -name '*mcpo*' -not -path '/run/systemd/*' -not -path '/usr/local/*'", timeout=LONG
        ).splitlines())

    def apt(self, command):
        self.machine.succeed(f"cd /root && DEBIAN_FRONTEND=noninteractive {command.replace('apt ', 'apt-get -y ', 1)}", timeout=LONG)

    @contextlib.contextmanager
    def no_request_lost(self):
        """Each request meanwhile is answered: the socket keeps it while the gateway is replaced."""
        knocking = self.machine.background(
            "rm -f /run/enough; until test -e /run/enough; do curl -sS -o /dev/null --fail --max-time 60"
            # A pause, or the requests would keep a processor busy.
            f" http://127.0.0.1:{PORT}/docs 2>&1 && count=$((count + 1)); sleep 0.05; done; echo answered $count"
        )
        try:
            yield
        finally:
            self.machine.succeed("touch /run/enough")
            told = knocking.communicate(timeout=120)[0]
        check(re.fullmatch(r"answered [1-9]\d*\n", told), f"requests were lost: {told}")


def check(holds, otherwise):
    if not holds:
        raise driver.Failed(otherwise)


# --- what README.md of nix/debian says, one function each, in this order

def the_package_alone_serves_a_page(site, steps):
    miranda = site.machines["miranda"]
    miranda.succeed("cp /opt/packages/old.deb /root/mcpo_0.1.0-1_amd64.deb")
    for command in COMMANDS["install"] + COMMANDS["apply"]:
        steps.apt(command)
        miranda.wait_until_succeeds("curl -sS -o /dev/null --fail http://127.0.0.1:8000/docs", LONG)
    steps.apt("apt purge mcpo")


def from_the_python_mcpo_to_thirteen_servers(site, steps):
    miranda = site.machines["miranda"]
    miranda.write("/srv/mcpo/config.json", '{"mcpServers": {}}')
    miranda.write("/srv/mcpo/.venv/docs", "the Python mcpo")
    miranda.write("/etc/systemd/system/mcpo.service", PYTHON_MCPO)
    miranda.succeed("chown -R mcpo:mcpo /srv/mcpo", "systemctl daemon-reload", "systemctl enable --now mcpo")
    miranda.wait_until_succeeds(f"curl -sS --fail http://127.0.0.1:{PORT}/docs | grep -q Python")
    give(site.machines["puck"], "athena-mcp", "token-of-athena")
    give(site.machines["internet"], "github-personal-access-token", "token-of-github")
    give(site.machines["internet"], "huggingface-mcp-token", "token-of-huggingface")
    steps.play(expect_changes=True)
    steps.ready(13)
    check("UTC" in steps.call("/time/get_current_time", NOW), "time gave no time")
    check("github get_me" in steps.call("/github/get_me"), "github did not answer")
    places = "/etc/mcpo/config.json /etc/systemd/system /srv/mcpo"
    miranda.succeed(f"grep -rF key-open-webui {places}")
    for secret in ("token-of-github", KEY):
        miranda.fail(f"grep -rF {secret} {places}")
        miranda.fail(f"journalctl --no-pager --all --output=export | grep -aF {secret}")
    check(miranda.succeed("stat -c '%U %a' /etc/mcpo/credentials /etc/mcpo/credentials/github") == "root 700\nroot 600\n",
          "others than root can read the secrets")


def a_second_run_changes_nothing(site, steps):
    before = steps.invocation()
    steps.play(expect_changes=False)
    check(steps.invocation() == before, "the gateway was restarted")


def the_sandboxes_are_those_of_nixos(site, steps):
    """Measured by systemd itself, from 0 (nothing allowed) to 10: the files here, those that NixOS has, and the running units."""
    miranda = site.machines["miranda"]
    told = []
    for unit in ("mcpo.service", "mcpo-server-time@.service", "mcpo-server-upstash-context7@.service"):
        theirs = exposure(subprocess.run(
            [*OFFLINE, layouts.UNITS / "ouranos/miranda" / unit], check=True, stdout=subprocess.PIPE, text=True
        ).stdout)
        running = miranda.succeed(f"systemctl list-units --plain --no-legend '{unit.replace('@', '@*')}' | cut -d ' ' -f 1").split()[0]
        ours = exposure(miranda.succeed(f"{' '.join(OFFLINE)} {miranda.show(running, 'FragmentPath')}"))
        runs = exposure(miranda.succeed(f"systemd-analyze security --no-pager {running}"))
        check(ours == theirs and runs <= theirs, f"{unit}: {ours}, running {runs}, on NixOS {theirs}")
        told.append(f"{unit} {ours}, running {runs}")
    print("     " + "; ".join(told), flush=True)


OFFLINE = ["systemd-analyze", "security", "--offline=true", "--no-pager"]


def exposure(text):
    return float(re.search(r"Overall exposure level for .*: (\d+\.\d)", text)[1])


def a_changed_server_is_replaced_and_the_others_stay(site, steps):
    miranda, before = site.machines["miranda"], steps.invocation()
    pid = "systemctl show -P MainPID $(systemctl list-units --plain --no-legend 'mcpo-server-{}@*' | cut -d ' ' -f 1)"
    context7 = miranda.succeed(pid.format("upstash-context7"))
    steps.variables["time_command"] = "/usr/local/bin/other-time"
    miranda.succeed("cp /usr/local/bin/mcp-server-time /usr/local/bin/other-time")
    steps.play(expect_changes=True)
    # The old instance ends when the new one has taken over.
    miranda.wait_until_succeeds(f"tr '\\0' ' ' </proc/$({pid.format('time')})/cmdline | grep -F /usr/local/bin/other-time", LONG)
    check("UTC" in steps.call("/time/get_current_time", NOW), "time gave no time")
    check(steps.invocation() == before, "the gateway was restarted")
    check(miranda.succeed(pid.format("upstash-context7")) == context7, "context7 was started anew")
    miranda.succeed("ls /etc/mcpo/config.json.*~")


def a_wrong_configuration_changes_nothing(site, steps):
    miranda = site.machines["miranda"]
    kept = miranda.succeed("cat /etc/mcpo/config.json")
    steps.variables["argos_mcp_url"] = "ftp://miranda.incus/mcp"
    try:
        steps.play(expect_changes=True)
    except driver.Failed as failure:
        check("failed to validate" in str(failure), f"the play failed otherwise: {failure}")
    else:
        raise driver.Failed("the play went through")
    finally:
        steps.variables["argos_mcp_url"] = VARIABLES["argos_mcp_url"]
    check(miranda.succeed("cat /etc/mcpo/config.json") == kept, "the configuration was replaced")
    check("UTC" in steps.call("/time/get_current_time", NOW), "time gave no time")


def a_changed_secret_counts_without_a_lost_request(site, steps):
    before = steps.invocation()
    steps.variables["vault_mcpo_open_webui_key"] = "key-of-open-webui-2"
    with steps.no_request_lost():
        steps.play(expect_changes=True)
    check(steps.invocation() != before, "the gateway was not restarted")
    steps.ready(13)
    check("UTC" in steps.call("/time/get_current_time", NOW, "key-of-open-webui-2"), "the new key does not open")
    try:
        steps.call("/time/get_current_time", NOW, KEY)
    except driver.Failed as refused:
        check("Invalid API key" in str(refused), f"not refused for its key: {refused}")
    else:
        raise driver.Failed("the old key still opens")


def an_encrypted_secret_is_taken(site, steps):
    miranda = site.machines["miranda"]
    # The folder is in memory here, which the default would refuse as the home of the machine's key.
    encrypt = [line.replace("systemd-creds encrypt", "systemd-creds encrypt --with-key=host") for line in COMMANDS["encrypt"]]
    miranda.succeed("set -e\n" + "\n".join(encrypt), timeout=LONG)
    steps.ready(13)
    check("github get_me" in steps.call("/github/get_me", key="key-of-open-webui-2"), "github did not answer")
    miranda.succeed("test -s /etc/mcpo/credentials/github.cred; test ! -e /etc/mcpo/credentials/github")
    miranda.fail("grep -F token-of-github /etc/mcpo/credentials/github.cred")
    miranda.succeed(
        "umask 077; echo token-of-github > /etc/mcpo/credentials/github; rm /etc/mcpo/credentials/github.cred; mcpo units --apply",
        timeout=LONG,
    )
    steps.ready(13)


def an_upgrade_and_the_way_back(site, steps):
    miranda = site.machines["miranda"]
    for package, version in (("new", "-2"), ("old", "-1")):
        before, config = steps.invocation(), miranda.succeed("cat /etc/mcpo/config.json")
        steps.variables["mcpo_package"] = f"/opt/packages/{package}.deb"
        with steps.no_request_lost():
            steps.play(expect_changes=True)
        check(miranda.succeed("dpkg-query -W -f '${Version}' mcpo").endswith(version), "another version is installed")
        check(steps.invocation() != before, "the gateway was not restarted")
        check(miranda.succeed("cat /etc/mcpo/config.json") == config, "the configuration was replaced")
        check(miranda.succeed("stat -c '%U:%G %a' /etc/mcpo/config.json") == "root:mcpo 640\n", "others can read the configuration")
        steps.ready(13)


def start_stop_and_the_restart_playbook(site, steps):
    miranda, before = site.machines["miranda"], steps.invocation()
    with steps.no_request_lost():
        steps.play(expect_changes=True, book="restart.yml")
    check(steps.invocation() != before, "the gateway was not restarted")
    miranda.succeed("systemctl stop mcpo.socket mcpo")
    miranda.fail(f"curl -sS --max-time 5 http://127.0.0.1:{PORT}/docs")
    miranda.succeed("systemctl start mcpo", f"curl -sS --fail -o /dev/null http://127.0.0.1:{PORT}/docs")
    miranda.succeed("systemctl is-active mcpo.socket", "mcpo check --config /etc/mcpo/config.json")
    steps.ready(13)


def back_to_the_python_mcpo_and_forward_again(site, steps):
    miranda = site.machines["miranda"]
    steps.play(expect_changes=True, book="back.yml")
    miranda.succeed(
        f"curl -sS --fail http://127.0.0.1:{PORT}/docs | grep -q Python", "systemctl is-enabled mcpo",
        "grep -qxF '{\"mcpServers\": {}}' /srv/mcpo/config.json",
    )
    miranda.fail("systemctl is-active mcpo.socket")
    steps.play(expect_changes=True)
    steps.ready(13)


def the_package_goes_and_leaves_nothing(site, steps):
    miranda = site.machines["miranda"]
    steps.apt("apt remove mcpo")
    miranda.succeed("test -e /etc/mcpo/config.json", "test -e /etc/mcpo/credentials/github")
    miranda.fail("systemctl list-units --plain --no-legend 'mcpo*' | grep -E 'running|listening'")
    steps.apt("apt purge mcpo")
    left = steps.named_after_it() - steps.found_before
    # The unit of the Python mcpo.
    check(left == {"/var/backups/python-mcpo", "/var/backups/python-mcpo/mcpo.service"}, f"left behind: {left}")
    miranda.succeed("test -d /srv/mcpo")


STEPS = [
    the_package_alone_serves_a_page, from_the_python_mcpo_to_thirteen_servers, a_second_run_changes_nothing,
    the_sandboxes_are_those_of_nixos, a_changed_server_is_replaced_and_the_others_stay, a_wrong_configuration_changes_nothing,
    a_changed_secret_counts_without_a_lost_request, an_encrypted_secret_is_taken, an_upgrade_and_the_way_back,
    start_stop_and_the_restart_playbook, back_to_the_python_mcpo_and_forward_again, the_package_goes_and_leaves_nothing,
]


def give(machine, name, value):
    machine.succeed(f"mkdir -p -m 0700 /run/secrets; umask 077; echo '{value}' > /run/secrets/{name}")


def main():
    parser = argparse.ArgumentParser()
    for name in ("old", "new", "binary"):
        parser.add_argument(f"--{name}", type=lambda path: Path(path).resolve(), required=True)
    parser.add_argument("steps", nargs="*", help="names of functions; all of them otherwise")
    options = vars(parser.parse_args())
    wanted = [step for step in STEPS if not options["steps"] or step.__name__ in options["steps"]]
    reason = driver.why_not() or layouts.why_not("ouranos")
    if reason:
        print(f"SKIP packages-boot: {reason}")
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    site = DebianSite(options)
    began, failed = time.monotonic(), 0
    try:
        site.start()
        steps = Steps(site.machines["miranda"])
        for step in wanted:
            start = time.monotonic()
            try:
                step(site, steps)
            except Exception as error:
                lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == __file__]
                print(f"FAIL {step.__name__.replace('_', ' ')}: line {lines[-1]}: {type(error).__name__}: {error}", flush=True)
                if not failed:
                    print(steps.machine.execute("systemctl status --no-pager 'mcpo*'; journalctl --no-pager -n 60", LONG)[1])
                failed += 1
            else:
                print(f"ok   {step.__name__.replace('_', ' ')} ({time.monotonic() - start:.1f} s)", flush=True)
    except driver.Unbootable as error:
        print(f"SKIP packages-boot: {error}")
        return 0
    finally:
        site.stop()
    print(f"packages: {len(wanted) - failed} passed, {failed} failed, {time.monotonic() - began:.1f} s")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
