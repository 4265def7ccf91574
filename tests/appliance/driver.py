"""A machine that boots systemd from this very file system, under systemd-nspawn, and that a test script drives.

The names are those of the NixOS test driver, so that the same scripts can serve virtual machines. Everything that
a machine makes on the host (mounts, control groups, a folder in /run) is taken down again by `stop`, also after a
boot that failed. Changes inside the machine go to memory and are gone with it.
"""
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

BOOT_LIMIT = 60
# How long the things that a script waits for may take.
PATIENCE = 30


class Unbootable(Exception):
    """This host cannot boot a machine; the text says why."""


class Failed(Exception):
    """What a script asked for did not come true."""


def why_not():
    """Why no machine can be booted here, or None."""
    if os.geteuid() != 0:
        return "not root"
    for program in ("systemd-nspawn", "nsenter", "mount", "curl"):
        if not shutil.which(program):
            return f"no {program} here"
    if not any(os.path.exists(path) for path in ("/lib/systemd/systemd", "/usr/lib/systemd/systemd")):
        return "no systemd here"
    return None


class Machine:
    # Whether it is plugged into the network of its site.
    shares_network = True

    def __init__(self, binds, files, name="machine", network=None, prepare=None, system="/"):
        """`binds` maps paths inside to paths of the host, read-only; `files` maps paths inside to texts.

        `network` is a `network.Port`; without one the machine has a loopback alone. `prepare` is called with the
        machine's root before the boot. `system` is the file system that is booted.
        """
        self.name = f"mcpo-appliance-{os.getpid()}-{name}"
        self.binds, self.files = binds, files
        self.network, self.prepare, self.system = network, prepare, system
        self.folder = None
        self.mounts, self.groups = [], []
        self.container = self.leader = None

    # --- life

    def start(self):
        self.launch()
        self.wait_for_boot()

    def launch(self):
        """Starts the boot; `wait_for_boot` must follow."""
        self.folder = Path(tempfile.mkdtemp(prefix=f"{self.name}-", dir="/run"))
        root = self.folder / "root"
        self._mount("-t", "tmpfs", "-o", "mode=0755", "tmpfs", self.folder)
        for name in ("upper", "work", "root"):
            (self.folder / name).mkdir()
        layers = f"lowerdir={self.system},upperdir={self.folder}/upper,workdir={self.folder}/work"
        self._mount("-t", "overlay", "-o", layers, "overlay", root)
        for path, text in self.files.items():
            self._place(root, path, text)
        if self.prepare:
            self.prepare(root)
        command = [
            "systemd-nspawn", "--quiet", f"--directory={root}", f"--machine={self.name}",
            *(self.network.options if self.network else ["--private-network"]),
            "--register=no", "--keep-unit", "--link-journal=no",
            # Without these two, IPAddressDeny= is silently not enforced.
            "--capability=all", "--system-call-filter=bpf",
            *(f"--bind-ro={source}:{path}" for path, source in self.binds.items()),
            "--boot",
        ]
        self._make_groups()
        enter = "".join(f"echo $$ >{group}/cgroup.procs; " for group in self.groups)
        with open(self.folder / "boot.log", "w") as log:
            self.container = subprocess.Popen(
                ["sh", "-c", enter + 'exec "$@"', "sh", *map(str, command)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                env={**os.environ, "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"}, start_new_session=True,
            )

    def wait_for_boot(self):
        end = time.monotonic() + BOOT_LIMIT
        while self.container.poll() is None and time.monotonic() < end:
            self.leader = self._find_leader()
            if self.leader:
                try:
                    _, state = self.execute("systemctl is-system-running", timeout=5)
                except subprocess.TimeoutExpired:
                    state = ""
                if state.strip() in ("running", "degraded"):
                    return
            time.sleep(0.1)
        lines = (self.folder / "boot.log").read_text(errors="replace").strip().splitlines() or ["no word"]
        raise Unbootable(f"systemd did not boot: {lines[-1]}")

    def stop(self):
        """Powers off and takes down; safe to call at any moment and more than once."""
        if self.container and self.container.poll() is None:
            leader = self.leader or self._find_leader()
            # systemd's own signal for `poweroff`, which also works when no bus does.
            self._signal(leader, signal.SIGRTMIN + 4) or self._signal(self.container.pid, signal.SIGTERM)
            try:
                self.container.wait(10)
            except subprocess.TimeoutExpired:
                self._signal(leader, signal.SIGKILL)
                self.container.kill()
                self.container.wait()
        self.container = self.leader = None
        for mount in reversed(self.mounts):
            subprocess.run(["umount", "--lazy", mount], stderr=subprocess.DEVNULL)
        for group in self.groups:
            for folder, _, _ in os.walk(group, topdown=False):
                self._remove_group(folder)
        if self.folder:
            self.folder.rmdir()
        self.mounts, self.groups, self.folder = [], [], None

    # --- what scripts use

    def execute(self, command, timeout=PATIENCE):
        """Runs a shell command inside; gives its exit status and its output."""
        run = subprocess.run(
            ["nsenter", f"--target={self.leader}", "--all", "--", "/bin/bash", "-c", command],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=timeout,
            env={"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"},
        )
        self.last_error = run.stderr
        return run.returncode, run.stdout

    def succeed(self, *commands, timeout=PATIENCE):
        outputs = []
        for command in commands:
            status, output = self.execute(command, timeout)
            if status != 0:
                raise Failed(f"`{command}` ended with {status}: {output}{self.last_error}")
            outputs.append(output)
        return "".join(outputs)

    def fail(self, *commands, timeout=PATIENCE):
        outputs = []
        for command in commands:
            status, output = self.execute(command, timeout)
            if status == 0:
                raise Failed(f"`{command}` succeeded: {output}")
            outputs.append(output)
        return "".join(outputs)

    def wait_until_succeeds(self, command, timeout=PATIENCE):
        end = time.monotonic() + timeout
        while True:
            status, output = self.execute(command)
            if status == 0:
                return output
            if time.monotonic() > end:
                raise Failed(f"`{command}` did not succeed within {timeout} s: {output}{self.last_error}")
            time.sleep(0.05)

    def wait_until_fails(self, command, timeout=PATIENCE):
        self.wait_until_succeeds(f"! {{ {command}; }}", timeout)

    def wait_for_unit(self, unit, timeout=PATIENCE):
        self.wait_until_succeeds(f"systemctl is-active --quiet {unit}", timeout)

    def wait_for_open_port(self, port, timeout=PATIENCE):
        self.wait_until_succeeds(f"exec 3<>/dev/tcp/127.0.0.1/{port}", timeout)

    def block(self):
        """Nothing reaches this machine any more, nor leaves it."""
        self.network.set("down")

    def unblock(self):
        self.network.set("up")

    def systemctl(self, command):
        return self.succeed(f"systemctl {command}")

    def background(self, command):
        """Starts a shell command inside; `communicate` of what it gives waits for its output."""
        return subprocess.Popen(
            ["nsenter", f"--target={self.leader}", "--all", "--", "/bin/bash", "-c", command],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )

    def write(self, path, text):
        """Puts a file into the running machine."""
        self._place(Path(f"/proc/{self.leader}/root"), path, text)

    def show(self, unit, name):
        """A property of a unit."""
        return self.succeed(f"systemctl show --property={name} --value {unit}").strip()

    def journal(self, *matches):
        """The journal's entries that match, as dictionaries, oldest first."""
        self.succeed("journalctl --sync")
        lines = self.succeed(f"journalctl --output=json --all --no-pager {' '.join(matches)}").splitlines()
        return [json.loads(line) for line in lines]

    # --- inner workings

    def _mount(self, *arguments):
        run = subprocess.run(["mount", *map(str, arguments)], stderr=subprocess.PIPE, text=True)
        if run.returncode != 0:
            raise Unbootable(f"mount refused: {run.stderr.strip()}")
        self.mounts.append(arguments[-1])

    def _place(self, root, path, text):
        target = root / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)

    def _make_groups(self):
        """A control group of its own in each hierarchy that systemd uses, so that machines do not meet."""
        top = Path("/sys/fs/cgroup")
        hierarchies = [top] if (top / "cgroup.controllers").exists() else [top / "systemd", top / "unified"]
        for hierarchy in hierarchies:
            group = hierarchy / self.name
            if (hierarchy / "cgroup.procs").exists():
                try:
                    group.mkdir()
                except OSError as error:
                    raise Unbootable(f"no control group can be made: {error}")
                self.groups.append(group)

    def _remove_group(self, folder):
        # The processes are gone, yet the kernel may need a moment to notice.
        for _ in range(100):
            try:
                return os.rmdir(folder)
            except OSError:
                time.sleep(0.02)
        print(f"the control group {folder} could not be removed")

    def _find_leader(self):
        try:
            children = Path(f"/proc/{self.container.pid}/task/{self.container.pid}/children").read_text().split()
        except OSError:
            return None
        return int(children[0]) if children else None

    def _signal(self, process, number):
        try:
            if process:
                os.kill(process, number)
            return bool(process)
        except ProcessLookupError:
            return False
