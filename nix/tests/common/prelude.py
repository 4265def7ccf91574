# What all scripts begin with.
import shlex

PORT = 25530


def give(machine, secrets):
    """Writes secrets as a deployment does: files that root alone can read."""
    machine.succeed("mkdir -p -m 0700 /run/secrets")
    for name, value in secrets.items():
        machine.succeed(f"umask 077; echo '{value}' > /run/secrets/{name}")


def write(machine, path, text):
    machine.succeed(f"printf %s {shlex.quote(text)} > {path}")


def in_incus(machine):
    """Puts beside the units what a generator puts there in containers of Incus and LXC, nested or not."""
    machine.succeed(
        "mkdir -p /run/systemd/system/service.d",
        "printf '[Service]\\nProcSubset=all\\nProtectProc=default\\nProtectControlGroups=no\\nProtectKernelTunables=no\\n"
        "NoNewPrivileges=no\\nLoadCredential=\\nImportCredential=\\nPrivateNetwork=no\\n'"
        " > /run/systemd/system/service.d/zzz-lxc-service.conf",
        "systemctl daemon-reload",
    )


def curl(path, key=None, options="", host="127.0.0.1"):
    """A command that fails unless the gateway answers with success."""
    head = f"-H 'Authorization: Bearer {key}'" if key else ""
    return f"curl -sS --fail-with-body --max-time 20 {head} {options} http://{host}:{PORT}{path}"


def post(path, arguments="{}", key=None, options="", host="127.0.0.1"):
    """A command that calls a tool, and fails unless it succeeds."""
    return curl(path, key, f"-H 'Content-Type: application/json' -d '{arguments}' {options}", host)


def ready(servers):
    """A command that succeeds when so many servers are ready, and they are all."""
    return f"systemctl show --property=StatusText mcpo.service | grep -qx 'StatusText={servers} of {servers} servers ready'"


def instances(server):
    """A command that lists the running instances of a server's unit."""
    return f"systemctl list-units --plain --no-legend --state=running 'mcpo-server-{server}@*' | cut -d ' ' -f 1"


NOW = '{"timezone": "UTC"}'
