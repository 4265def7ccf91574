"""The package in a booted Debian: miranda and the hosts around it, as tests/appliance boots them, with the package, the role
of nix/debian and the Ansible of Debian in the place of NixOS."""
import argparse
import json
import signal
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
# What a play of the site finds in its host's variables and its vault.
VARIABLES = {
    "mcpo_package": "/opt/packages/old.deb",
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


class DebianSite(layouts.Site):
    """The site of the VM tests, where miranda has nothing of the gateway yet."""

    def __init__(self, packages):
        self.packages = packages
        super().__init__("ouranos", packages["binary"])

    def _machine(self, name, binary):
        machine = super()._machine(name, binary)
        if name == "miranda":
            machine.files = {path: text for path, text in machine.files.items() if "/mcpo" not in path}
            machine.binds["/opt/packages/old.deb"] = self.packages["old"]
            machine.binds["/opt/packages/new.deb"] = self.packages["new"]
            machine.binds["/opt/debian"] = ROOT / "nix/debian"
            recorded = machine.prepare
            machine.prepare = lambda root: self._without_the_gateway(root, recorded)
        return machine

    def _without_the_gateway(self, root, recorded):
        recorded(root)
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
        self.plays = 0

    def play(self, expect_changes, book="deploy.yml"):
        """Runs a playbook; gives how many tasks changed something."""
        self.plays += 1
        self.machine.write("/root/ansible/variables.json", json.dumps(self.variables))
        status, output = self.machine.execute(
            "cd /opt/debian && HOME=/root ANSIBLE_ROLES_PATH=/opt/debian ANSIBLE_LOCALHOST_WARNING=0 ANSIBLE_PIPELINING=1"
            " ANSIBLE_PYTHON_INTERPRETER=/usr/bin/python3 ansible-playbook --inventory miranda.incus, --connection local"
            f" --extra-vars @/root/ansible/variables.json {book} 2>&1",
            timeout=180,
        )
        check(status == 0, f"{book} failed:\n{output}")
        changed = int(output.rsplit("changed=", 1)[1].split()[0])
        check((changed > 0) == expect_changes, f"{changed} tasks changed something:\n{output}")
        for secret in self.variables.values():
            check(not (isinstance(secret, str) and secret.startswith(("token-of", "key-of")) and secret in output),
                  "a secret is in the output of Ansible")
        return changed

    def ready(self, servers):
        self.machine.wait_until_succeeds(
            f"systemctl show --property=StatusText mcpo.service | grep -qx 'StatusText={servers} of {servers} servers ready'"
        )

    def call(self, path, arguments="{}", key=KEY):
        return self.machine.succeed(
            f"curl -sS --fail-with-body --max-time 20 -H 'Authorization: Bearer {key}' -H 'Content-Type: application/json'"
            f" -d '{arguments}' http://127.0.0.1:{PORT}{path}"
        )

    def invocation(self):
        return self.machine.show("mcpo.service", "InvocationID")


def check(holds, otherwise):
    if not holds:
        raise driver.Failed(otherwise)


# --- what README.md of nix/debian says, one function each, in this order

def the_commands_of_the_readme(site, steps):
    miranda = site.machines["miranda"]
    blocks = (ROOT / "nix/debian/README.md").read_text().split("```\n")[1::2]
    commands = [line for block in blocks for line in block.splitlines()]
    check(len(commands) == 2, f"other commands than this test knows: {commands}")
    miranda.succeed("cd /root && cp /opt/packages/old.deb mcpo_0.1.0-1_amd64.deb")
    for command in commands:
        miranda.succeed(f"cd /root && DEBIAN_FRONTEND=noninteractive {command.replace('apt install', 'apt-get install -y')}", timeout=120)
        miranda.wait_until_succeeds("curl -sS -o /dev/null --fail http://127.0.0.1:8000/docs")
    miranda.succeed("DEBIAN_FRONTEND=noninteractive apt-get purge -y mcpo")


def from_nothing_to_thirteen_servers(site, steps):
    miranda = site.machines["miranda"]
    for name in ("athena-mcp",):
        give(site.machines["puck"], name, "token-of-athena")
    give(site.machines["internet"], "github-personal-access-token", "token-of-github")
    give(site.machines["internet"], "huggingface-mcp-token", "token-of-huggingface")
    steps.play(expect_changes=True)
    steps.ready(13)
    check("UTC" in steps.call("/time/get_current_time", NOW), "time gave no time")
    check("github get_me" in steps.call("/github/get_me"), "github did not answer")
    for secret in ("token-of-github", KEY):
        miranda.fail(f"grep -rF {secret} /etc/mcpo/config.json /etc/systemd/system /srv/mcpo")
        miranda.fail(f"journalctl --no-pager --all --output=export | grep -aF {secret}")


def a_second_run_changes_nothing(site, steps):
    before = steps.invocation()
    steps.play(expect_changes=False)
    check(steps.invocation() == before, "the gateway was restarted")


def the_sandboxes_are_those_of_nixos(site, steps):
    miranda = site.machines["miranda"]
    miranda.succeed("systemd-analyze security --threshold=15 mcpo.service")
    instance = miranda.succeed("systemctl list-units --plain --no-legend 'mcpo-server-time@*' | cut -d ' ' -f 1").split()[0]
    miranda.succeed(f"systemd-analyze security --threshold=10 {instance}")


def a_changed_server_is_replaced_and_the_others_stay(site, steps):
    miranda, before = site.machines["miranda"], steps.invocation()
    pid = "systemctl show -P MainPID $(systemctl list-units --plain --no-legend 'mcpo-server-upstash-context7@*' | cut -d ' ' -f 1)"
    context7 = miranda.succeed(pid)
    steps.variables["time_command"] = "/usr/local/bin/other-time"
    miranda.succeed("cp /usr/local/bin/mcp-server-time /usr/local/bin/other-time")
    steps.play(expect_changes=True)
    miranda.wait_until_succeeds("pgrep -f other-time || systemctl list-units --plain 'mcpo-server-time@*' | grep -q running")
    check("other-time" in miranda.succeed("systemctl cat 'mcpo-server-time@.service'"), "the unit is the old one")
    check("UTC" in steps.call("/time/get_current_time", NOW), "time gave no time")
    check(steps.invocation() == before, "the gateway was restarted")
    check(miranda.succeed(pid) == context7, "context7 was started anew")
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
    miranda, before = site.machines["miranda"], steps.invocation()
    steps.variables["vault_mcpo_open_webui_key"] = "key-of-open-webui-2"
    # Requests while the gateway restarts: each is answered, since the socket keeps them.
    knocking = miranda.background(
        "for i in $(seq 200); do curl -sS -o /dev/null --max-time 20 http://127.0.0.1:25530/docs || echo lost; done; echo end"
    )
    steps.play(expect_changes=True)
    told = knocking.communicate(timeout=120)[0]
    check(told == "end\n", f"requests were lost: {told}")
    check(steps.invocation() != before, "the gateway was not restarted")
    steps.ready(13)
    check("UTC" in steps.call("/time/get_current_time", NOW, "key-of-open-webui-2"), "the new key does not open")
    try:
        steps.call("/time/get_current_time", NOW, KEY)
    except driver.Failed:
        return
    raise driver.Failed("the old key still opens")


def an_encrypted_secret_is_taken(site, steps):
    miranda = site.machines["miranda"]
    miranda.succeed(
        "cd /etc/mcpo/credentials && systemd-creds encrypt --with-key=host --name=github github github.cred && rm github",
        "mcpo units --apply",
    )
    steps.ready(13)
    check("github get_me" in steps.call("/github/get_me", key="key-of-open-webui-2"), "github did not answer")
    miranda.fail("grep -F token-of-github /etc/mcpo/credentials/github.cred")
    miranda.succeed("rm /etc/mcpo/credentials/github.cred; echo token-of-github > /etc/mcpo/credentials/github", "mcpo units --apply")
    steps.ready(13)


def an_upgrade_and_the_way_back(site, steps):
    miranda = site.machines["miranda"]
    for package, version in (("new", "-2"), ("old", "-1")):
        before, config = steps.invocation(), miranda.succeed("cat /etc/mcpo/config.json")
        steps.variables["mcpo_package"] = f"/opt/packages/{package}.deb"
        steps.play(expect_changes=True)
        check(miranda.succeed("dpkg-query -W -f '${Version}' mcpo").endswith(version), "another version is installed")
        check(steps.invocation() != before, "the gateway was not restarted")
        check(miranda.succeed("cat /etc/mcpo/config.json") == config, "the configuration was replaced")
        steps.ready(13)


def the_restart_playbook(site, steps):
    before = steps.invocation()
    steps.play(expect_changes=True, book="restart.yml")
    check(steps.invocation() != before, "the gateway was not restarted")


def the_package_goes_and_leaves_nothing(site, steps):
    miranda = site.machines["miranda"]
    miranda.succeed("DEBIAN_FRONTEND=noninteractive apt-get remove -y mcpo")
    miranda.succeed("test -e /etc/mcpo/config.json")
    miranda.fail("systemctl list-units --plain --no-legend 'mcpo*' | grep -E 'running|listening'")
    miranda.succeed("DEBIAN_FRONTEND=noninteractive apt-get purge -y mcpo")
    left = miranda.succeed(
        f"find / -xdev -name 'mcpo*' -not -path '/opt/*' -not -path '/nix/*' -not -path '/proc/*' -not -path '{ROOT}*'"
        " -not -path '/tmp/*' -not -path '/root/*' -not -path '/var/lib/dpkg/*' -not -path '/srv/mcpo*'"
        " -not -path '/var/lib/systemd/*' -not -path '/var/cache/apt/*' -not -path '/usr/local/*'"
    )
    check(left == "", f"left behind: {left}")


STEPS = [
    the_commands_of_the_readme, from_nothing_to_thirteen_servers, a_second_run_changes_nothing, the_sandboxes_are_those_of_nixos,
    a_changed_server_is_replaced_and_the_others_stay, a_wrong_configuration_changes_nothing,
    a_changed_secret_counts_without_a_lost_request, an_encrypted_secret_is_taken, an_upgrade_and_the_way_back,
    the_restart_playbook, the_package_goes_and_leaves_nothing,
]


def give(machine, name, value):
    machine.succeed(f"mkdir -p -m 0700 /run/secrets; umask 077; echo '{value}' > /run/secrets/{name}")


def main():
    parser = argparse.ArgumentParser()
    for name in ("old", "new", "binary"):
        parser.add_argument(f"--{name}", type=lambda path: Path(path).resolve(), required=True)
    options = vars(parser.parse_args())
    reason = driver.why_not() or layouts.why_not("ouranos")
    if reason:
        print(f"SKIP packages-boot: {reason}")
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    site = DebianSite(options)
    began, passed = time.monotonic(), 0
    try:
        site.start()
        steps = Steps(site.machines["miranda"])
        for step in STEPS:
            start = time.monotonic()
            try:
                step(site, steps)
            except Exception as error:
                line = traceback.extract_tb(error.__traceback__)[1].lineno if error.__traceback__.tb_next else "?"
                print(f"FAIL {step.__name__}: line {line}: {error}", flush=True)
                print(site.machines["miranda"].execute("systemctl status --no-pager 'mcpo*'; journalctl --no-pager -n 60")[1])
                return 1
            passed += 1
            print(f"ok   {step.__name__.replace('_', ' ')} ({time.monotonic() - start:.1f} s)", flush=True)
    except driver.Unbootable as error:
        print(f"SKIP packages-boot: {error}")
        return 0
    finally:
        site.stop()
    print(f"packages: {passed} passed, {time.monotonic() - began:.1f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
