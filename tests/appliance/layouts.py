"""The machines of a layout of the VM tests (nix/tests/layouts), booted from the units that the NixOS module renders.

The recorded units (tests/appliance/units) are taken as they are. Where they name a path in the Nix store, the program
that would be there is put there: the gateway under test, the real servers, the stand-ins.
"""
import json
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import driver
from network import Network

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
UNITS = HERE / "units"
TESTS = ROOT / "nix/tests"
WORK = ROOT / "tests/.work"

PYTHON = """#!/bin/sh
export PYTHONDONTWRITEBYTECODE=1 PYTHONPATH={packages} LD_LIBRARY_PATH=/opt/mcpo-tests/python/lib
exec /opt/mcpo-tests/python/bin/{python} {arguments} "$@"
"""
REGISTRY = """#!/bin/sh
export PATH=/nix/store/00000000000000000000000000000000-nodejs/bin:$PATH
exec /usr/bin/python3 -B /opt/mcpo-tests/servers/registry.py "$@"
"""
ASKS = """#!/bin/sh
exec /usr/bin/python3 -B /opt/mcpo-tests/servers/offering_server.py --tells "$@"
"""
NODE = """#!/bin/sh
exec /opt/mcpo-tests/node /opt/mcpo-tests/work/node/node_modules/{script} "$@"
"""
# On prospero; NixOS has a module of its own for it.
PROMETHEUS = """[Service]
ExecStart=/opt/mcpo-tests/work/prometheus/usr/bin/prometheus --config.file=/etc/prometheus.json \\
  --storage.tsdb.path=/run/prometheus --web.listen-address=127.0.0.1:9090 --log.level=warn
[Install]
WantedBy=multi-user.target
"""
# The same of nginx: what NixOS writes around the virtual hosts.
NGINX = """[Service]
ExecStart=/opt/mcpo-tests/work/nginx/usr/sbin/nginx -e stderr -p /run -c /etc/nginx.conf
[Install]
WantedBy=multi-user.target
"""
NGINX_HTTP = """daemon off;
user nobody nogroup;
pid /run/nginx.pid;
events {}
http {
access_log off;
""" + "".join(f"{what}_temp_path /run/nginx-{what};\n" for what in ("client_body", "fastcgi", "proxy", "scgi", "uwsgi"))


# What NixOS makes of its modules for these two. The server of `redis-tools` goes by another name, and comes without a service.
HAPROXY = """[Service]
EnvironmentFile=/etc/haproxy.env
ExecStart=/usr/sbin/haproxy -db -f /etc/haproxy.cfg
Restart=always
[Install]
WantedBy=multi-user.target
"""
REDIS = """[Service]
LoadCredential=password:/run/secrets/redis
ExecStart=/bin/bash -c 'exec -a redis-server redis-check-rdb /etc/redis.conf --requirepass "$(cat %d/password)"'
# A password that comes late heals it.
Restart=always
RestartSec=1
[Unit]
StartLimitIntervalSec=0
[Install]
WantedBy=multi-user.target
"""


def tests():
    """The scripts of the VM tests that need nothing but the recorded units, each with the name of its layout."""
    found = {}
    for script in sorted(TESTS.glob("*.py")):
        named = re.search(r"^import \./layouts/(\w+)\.nix$", script.with_suffix(".nix").read_text(), re.MULTILINE)
        found[script] = named and named[1]
    return found


def why_not(layout):
    """Why the layout cannot be booted here, or None."""
    if layout is None:
        return "needs programs that only NixOS has"
    if not shutil.which("node") or not (WORK / "node").exists():
        return "the Node servers are not provisioned"
    if any((UNITS / layout).glob("*/prometheus.json")) and not (WORK / "prometheus").exists():
        return "Prometheus is not provisioned"
    if any((UNITS / layout).glob("*/nginx.conf")) and not (WORK / "nginx").exists():
        return "nginx is not provisioned"
    for program in ("haproxy", "redis-check-rdb"):
        if any((UNITS / layout).glob("*/haproxy.cfg")) and not shutil.which(program):
            return f"no {program} here"
    if any("uvx" in unit.read_text() for unit in (UNITS / layout).glob("*/*.service")):
        for program in ("/usr/bin/npx", "/usr/bin/python3", WORK / "uv/bin/uvx"):
            if not Path(program).exists():
                return f"no {program} here"
    return None


# What is at a path of the store: the programs that Debian's package of that name, or the names beside it, has, and no
# other. A unit that needs more fails here as it does on NixOS.
PACKAGES = {"coreutils": "coreutils", "findutils": "findutils", "gnugrep": "grep", "gnused": "sed", "systemd": "systemd"}
PROGRAMS = {
    "bash": {"bash": "/usr/bin/bash", "sh": "/usr/bin/bash"},
    "nodejs": {name: f"/usr/bin/{name}" for name in ("node", "npm", "npx")},
    "python3": {"python3": "/usr/bin/python3"},
    "uv": {name: f"/opt/mcpo-tests/work/uv/bin/{name}" for name in ("uv", "uvx")},
}


def launchers():
    """The scripts in the place of packaged programs, by name: each runs what `tests/run` provisioned."""
    packages = next((WORK / "python/lib").glob("python3*")).name
    python = {"packages": f"/opt/mcpo-tests/work/python/lib/{packages}/site-packages", "python": packages}
    return {
        "mcp-server-time": PYTHON.format(**python, arguments="-m mcp_server_time"),
        "mcpo-stand-in-registry": REGISTRY,
        "mcpo-stand-in-asks": ASKS,
        "mcpo-stand-in": PYTHON.format(**python, arguments="/opt/mcpo-tests/servers/stand_in.py"),
        "mcp-server-memory": NODE.format(script="@modelcontextprotocol/server-memory/dist/index.js"),
        "context7-mcp": NODE.format(script="@upstash/context7-mcp/dist/index.js"),
    }


def programs_of(name):
    """The programs at a path of the store, each with where it really is; empty when it is no such path."""
    if package := PACKAGES.get(name):
        listed = subprocess.run(["dpkg-query", "--listfiles", package], check=True, stdout=subprocess.PIPE, text=True)
        files = map(Path, listed.stdout.splitlines())
        found = {file.name: file for file in files if file.parent.name == "bin" and os.access(file, os.X_OK)}
        # Debian has the one of procps.
        return found | ({"kill": "/bin/kill"} if name == "coreutils" else {})
    return PROGRAMS.get(name, {})


def scripts_of(layout, script):
    """What is run for a script of this layout, in this order."""
    return [TESTS / "common/prelude.py", TESTS / f"layouts/{layout}.py", script]


class Site:
    def __init__(self, layout, binary, system="/", machine=driver.Machine):
        """`system` is the file system that its machines boot; another than this one has units of its own."""
        self.system, self.machine = system, machine
        self.units = UNITS / ("newer" if system != "/" else layout)
        self.nodes = sorted(folder.name for folder in self.units.iterdir())
        self.network = Network(self.nodes)
        self.scratch = Path(tempfile.mkdtemp(prefix="mcpo-site-"))
        self.machines = {name: self._machine(name, binary) for name in self.nodes}

    def start(self):
        subprocess.run(["bash", TESTS / "common/certificates.sh", self.scratch], check=True)
        if self.machine.shares_network:
            self.network.start()
        for machine in self.machines.values():
            machine.launch()
        for machine in self.machines.values():
            machine.wait_for_boot()

    def stop(self):
        for machine in self.machines.values():
            machine.stop()
        self.network.stop()
        shutil.rmtree(self.scratch, ignore_errors=True)

    def _machine(self, name, binary):
        recorded = self.units / name
        binds = {
            "/opt/mcpo-tests/mcpo": binary,
            "/opt/mcpo-tests/servers": ROOT / "tests/servers",
            "/opt/mcpo-tests/work": WORK.resolve(),
            "/opt/mcpo-tests/python": (WORK / "python/bin/python").resolve().parent.parent,
            "/opt/mcpo-tests/node": Path(shutil.which("node")).resolve(),
        }
        files = {
            f"/etc/systemd/system/{unit.name}": unit.read_text()
            for unit in [*recorded.glob("*.service"), *recorded.glob("*.socket"), *recorded.glob("*.slice")]
        }
        for drop_in in recorded.glob("*+*.conf"):
            unit, file = drop_in.name.split("+")
            files[f"/etc/systemd/system/{unit}.d/{file}"] = drop_in.read_text()
        files["/etc/hosts"] = "127.0.0.1 localhost\n" + "".join(self._hosts())
        # Nothing is asked outside of the site.
        files["/etc/resolv.conf"] = ""
        for file, path in {
            "config.json": "/etc/mcpo/config.json", "tmpfiles.conf": "/etc/tmpfiles.d/mcpo.conf",
            "prometheus.json": "/etc/prometheus.json", "haproxy.cfg": "/etc/haproxy.cfg", "haproxy.env": "/etc/haproxy.env",
            "redis.conf": "/etc/redis.conf",
        }.items():
            if (recorded / file).exists():
                files[path] = (recorded / file).read_text()
        if "/etc/prometheus.json" in files:
            files["/etc/systemd/system/prometheus.service"] = PROMETHEUS
            files |= {
                rules: (ROOT / "nix/prometheus" / Path(rules).name).read_text()
                for rules in json.loads(files["/etc/prometheus.json"])["rule_files"]
            }
        for file, (service, unit) in {"/etc/haproxy.cfg": ("haproxy", HAPROXY), "/etc/redis.conf": ("redis", REDIS)}.items():
            if file in files:
                files[f"/etc/systemd/system/{service}.service"] = unit
        if (recorded / "nginx.conf").exists():
            files["/etc/nginx.conf"] = NGINX_HTTP + (recorded / "nginx.conf").read_text() + "}\n"
            files["/etc/systemd/system/nginx.service"] = NGINX
        prepare = lambda root: self._prepare(root, recorded)  # noqa: E731
        return self.machine(binds, files, name, self.network.ports[name], prepare, self.system)

    def _hosts(self):
        for name, port in self.network.ports.items():
            names = (self.units / name / "names").read_text().split()
            yield f"{port.address} {' '.join(names)}\n"

    def _prepare(self, root, recorded):
        for path in (recorded / "store-paths").read_text().split():
            self._put(root / path.lstrip("/"), recorded)
        for program in recorded.glob("*.program"):
            self._install(root / "usr/local/bin" / program.stem, program.read_text())
        with open(root / "etc/passwd", "a") as users, open(root / "etc/group", "a") as groups:
            users.write("mcpo:x:990:990:MCP gateway:/var/empty:/usr/sbin/nologin\n")
            groups.write("mcpo:x:990:\n")
        with open(root / "etc/ssl/certs/ca-certificates.crt", "a") as trusted:
            trusted.write((self.scratch / "authority.pem").read_text())
        enabled = [unit.name for unit in (root / "etc/systemd/system").iterdir() if is_ours(unit)]
        if enabled:
            subprocess.run(["systemctl", f"--root={root}", "--quiet", "enable", *enabled], check=True)

    def _put(self, path, recorded):
        """Puts what belongs at a path of the store there."""
        path.parent.mkdir(parents=True, exist_ok=True)
        name = path.name.split("-", 1)[1]
        if programs := programs_of(name):
            (path / "bin").mkdir(parents=True)
            for program, target in programs.items():
                (path / "bin" / program).symlink_to(target)
        elif name == "mcpo-stand-in-certificates":
            shutil.copytree(self.scratch, path)
        elif (recorded / name).exists():
            shutil.copy(recorded / name, path)
        elif re.fullmatch(r"mcpo(-\d.*)?", name):
            (path / "bin").mkdir(parents=True)
            (path / "bin/mcpo").symlink_to("/opt/mcpo-tests/mcpo")
        else:
            self._install(path / "bin" / name, launchers()[name])

    def _install(self, path, text):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)


def is_ours(unit):
    return unit.is_file() and unit.name.startswith(("haproxy", "mcpo", "nginx", "prometheus", "redis", "stand-in")) and "[Install]" in unit.read_text()
