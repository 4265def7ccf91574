"""A machine with the unit for distributions other than NixOS (nix/systemd), and what the scripts in tests/ use."""
import contextlib
import json
import time
from pathlib import Path

import driver

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
WORK = ROOT / "tests/.work"
UNIT = "mcpo.service"
DROP_IN = "/run/systemd/system/mcpo.service.d/test.conf"


class Bench:
    """What test scripts see besides `machine`."""

    def __init__(self, machine):
        self.machine = machine

    def names(self):
        return {
            "machine": self.machine, "Failed": driver.Failed, "UNIT": UNIT, "time": time, "json": json,
            "subtest": self.subtest, "configure": self.configure,
            "drop_in": self.drop_in, "scripted": scripted, "real_time": real_time, "call": self.call,
            "check": check, "entries": self.entries, "status_text": self.status_text,
        }

    @contextlib.contextmanager
    def subtest(self, sentence):
        try:
            yield
        except Exception as error:
            raise driver.Failed(f"{sentence}: {error}") from error

    def reset(self):
        """The machine as it was after its boot."""
        self.machine.execute("systemctl stop mcpo.socket mcpo.service; systemctl reset-failed 'mcpo*'")
        self.machine.execute(f"rm -rf {DROP_IN} /etc/mcpo /var/lib/private/mcpo /var/log/private/mcpo; systemctl daemon-reload")
        self.machine.succeed("mkdir -p /etc/mcpo")

    def configure(self, servers, **settings):
        """Writes the configuration file."""
        self.machine.write("/etc/mcpo/config.json", json.dumps({"mcpServers": servers, **settings}, indent=2))

    def drop_in(self, *lines):
        """Overrides directives of the unit's [Service] section."""
        self.machine.write(DROP_IN, "\n".join(["[Service]", *lines, ""]))
        self.machine.succeed("systemctl daemon-reload")

    def call(self, path, arguments, key=None, expect=200, options=""):
        """Calls a tool; gives the answer's body."""
        head = f"--header 'Authorization: Bearer {key}'" if key else ""
        output = self.machine.succeed(
            f"curl --silent --show-error --max-time 20 {options} {head} --header 'Content-Type: application/json' "
            f"--data '{json.dumps(arguments)}' --write-out '\\n%{{http_code}}' http://127.0.0.1:8000{path}"
        )
        body, status = output.rsplit("\n", 1)
        check(int(status) == expect, f"{path} was answered with {status}: {body}")
        return body

    def entries(self, *matches):
        """The journal of the unit's present run."""
        return self.machine.journal(f"_SYSTEMD_INVOCATION_ID={self.machine.show(UNIT, 'InvocationID')}", *matches)

    def status_text(self):
        return self.machine.show(UNIT, "StatusText")


def check(holds, otherwise):
    if not holds:
        raise driver.Failed(otherwise)


def scripted(*options):
    """The scripted test server."""
    return python("/opt/mcpo-tests/servers/scripted_server.py", *options)


def real_time():
    """The real time server."""
    return python("-m", "mcp_server_time", "--local-timezone=UTC")


def python(*arguments):
    """The provisioned interpreter, which may live in a home that the unit does not see, at another place."""
    packages = next((WORK / "python/lib").glob("python3*"))
    return {
        "command": f"/opt/mcpo-tests/python/bin/{packages.name}",
        "args": arguments,
        "env": {
            "PYTHONPATH": f"/opt/mcpo-tests/work/python/lib/{packages.name}/site-packages",
            "LD_LIBRARY_PATH": "/opt/mcpo-tests/python/lib",
        },
    }


def make_machine(binary):
    units = ROOT / "nix/systemd"
    binds = {
        "/usr/local/bin/mcpo": binary,
        "/opt/mcpo-tests/servers": ROOT / "tests/servers",
        "/opt/mcpo-tests/appliance": HERE,
        "/opt/mcpo-tests/work": WORK.resolve(),
        "/opt/mcpo-tests/python": (WORK / "python/bin/python").resolve().parent.parent,
    }
    files = {f"/etc/systemd/system/{unit.name}": unit.read_text() for unit in sorted(units.glob("mcpo.*"))}
    return driver.Machine(binds, files)
