"""A machine of the appliance as a virtual one: qemu without KVM, Debian's kernel, this file system with memory on top.

What containers do not enforce holds here: limits of memory and tasks. Its clock counts instructions, so that a busy host
makes it slow and nothing in it late. It is alone: its network leads nowhere.
"""
import base64
import json
import os
import shlex
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import driver

HERE = Path(__file__).resolve().parent
KERNEL = HERE.parent.parent / ".work/vm"
# For its boot, and for each script. However busy the host is, more than that hangs.
HANG_LIMIT = 900
# How much longer things take in it than in a container, by its own clock.
SLOWNESS = 4
# Three quarters of it, which the units give to all servers together, are less than two servers at their own limits.
MEGABYTES = 1100
# What programs of Debian and their libraries make use of; more is slower to emulate.
CPU = "qemu64,+ssse3,+sse4.1,+sse4.2,+popcnt,+cx16,+lahf-lm"
# Without what costs a slow machine most.
KERNEL_LINE = (
    "console=ttyS0 panic=-1 loglevel=4 no_timer_check tsc=reliable mitigations=off lsm= audit=0"
    " systemd.unified_cgroup_hierarchy=1 systemd.firstboot=no systemd.condition_needs_update=0"
    " systemd.unit=multi-user.target"
)
AGENT = """[Unit]
DefaultDependencies=no
After=local-fs.target
FailureAction=poweroff-immediate
SuccessAction=poweroff-immediate
[Service]
ExecStart=/usr/bin/python3 -B /opt/mcpo-tests/appliance/vm/agent.py
StandardError=journal+console
[Install]
WantedBy=sysinit.target
"""
NETWORK = """[Unit]
DefaultDependencies=no
Before=network.target
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sh -c 'hostname {name}; ip link set lo up; ip link add eth0 type dummy; ip address add {address}/24 dev eth0; ip link set eth0 up'
[Install]
WantedBy=sysinit.target
"""
# Units that every system has and that wait for devices or look after a machine that lasts.
MASKED = [
    "systemd-udevd.service", "systemd-udev-trigger.service", "systemd-udevd-kernel.socket", "systemd-udevd-control.socket",
    "systemd-hwdb-update.service", "systemd-binfmt.service", "systemd-sysusers.service", "systemd-logind.service",
    "systemd-modules-load.service", "systemd-random-seed.service", "systemd-pstore.service", "systemd-remount-fs.service",
    "systemd-journal-flush.service", "systemd-update-utmp.service", "systemd-update-utmp-runlevel.service",
    "systemd-pcrphase.service", "dev-hugepages.mount", "dev-mqueue.mount", "sys-kernel-debug.mount",
    "sys-kernel-tracing.mount", *(f"modprobe@{module}.service" for module in ("configfs", "dm_mod", "efi_pstore", "fuse", "loop")),
    "systemd-pcrphase-sysinit.service", "systemd-tmpfiles-clean.timer", "getty.target",
    "getty-static.service", "console-getty.service", "serial-getty@ttyS0.service", "rc-local.service",
]


def why_not():
    """Why no virtual machine can be booted here, or None."""
    if not shutil.which("qemu-system-x86_64"):
        return "no qemu-system-x86_64 here (apt: qemu-system-x86)"
    if not (KERNEL / ".stamp").exists():
        return "its kernel is not provisioned (tests/run --provision)"
    return None


class VirtualMachine(driver.Machine):
    shares_network = False

    def launch(self):
        self.services = []
        self.folder = Path(tempfile.mkdtemp(prefix=f"{self.name}-", dir="/run"))
        self._mount("-t", "tmpfs", "-o", "mode=0755", "tmpfs", self.folder)
        for name in ("upper", "work", "root"):
            (self.folder / name).mkdir()
        self._fill(self.folder / "root")
        binds = {**self.binds, "/opt/mcpo-tests/appliance": HERE.parent}
        (self.folder / "binds").write_text("".join(f"{source}\t{path}\n" for path, source in binds.items()))
        share = "security_model=none,readonly=on,multidevs=remap"
        self.began = time.monotonic()
        self.allow_time()
        self.container = subprocess.Popen(
            [
                "qemu-system-x86_64", "-accel", "tcg", "-icount", "shift=1", "-cpu", CPU, "-m", str(MEGABYTES),
                "-display", "none", "-no-reboot", "-monitor", "none", "-nic", "none",
                "-serial", f"file:{self.folder}/boot.log",
                "-kernel", str(KERNEL / "vmlinuz"), "-initrd", str(KERNEL / "initrd.gz"), "-append", KERNEL_LINE,
                "-virtfs", f"local,path=/,mount_tag=host,{share}",
                "-virtfs", f"local,path={self.folder},mount_tag=machine,{share}",
                "-device", "virtio-serial", "-chardev", f"socket,id=agent,path={self.folder}/agent,server=on,wait=off",
                "-device", "virtserialport,chardev=agent", "-device", "virtio-rng-pci",
            ],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=open(self.folder / "qemu.log", "w"),
            start_new_session=True,
        )
        self.agent = Agent(self.folder / "agent", self._end)

    def allow_time(self):
        self.allowed_until = time.monotonic() + HANG_LIMIT

    def wait_for_boot(self):
        self.agent.take(0)
        # It ends with a failure when any unit failed, which is the scripts' matter.
        self.execute("systemctl is-system-running --wait")
        self.boot_seconds = time.monotonic() - self.began

    def execute(self, command, timeout=driver.PATIENCE):
        answer = self.agent.ask(command, timeout * SLOWNESS)
        self.last_error = answer["error"]
        return answer["status"], answer["output"]

    def wait_until_succeeds(self, command, timeout=driver.PATIENCE):
        answer = self.agent.ask(command, timeout * SLOWNESS, again=True)
        if answer["status"] != 0:
            raise driver.Failed(f"`{command}` did not succeed within {timeout * SLOWNESS} s: {answer['output']}{answer['error']}")
        return answer["output"]

    def write(self, path, text):
        code = base64.b64encode(text.encode()).decode()
        self.succeed(f"mkdir -p $(dirname {shlex.quote(path)}) && base64 -d <<<{code} >{shlex.quote(path)}")

    def stop(self):
        # Its disk is memory: there is nothing to save.
        if self.container and self.container.poll() is None:
            self.container.kill()
            self.container.wait()
        super().stop()

    def _end(self):
        """Why nothing more is to be expected of it, or None."""
        if self.container.poll() is not None:
            return self._last_words(f"qemu ended with {self.container.returncode}")
        if time.monotonic() > self.allowed_until:
            return self._last_words(f"no end within {HANG_LIMIT} s")
        return None

    def _last_words(self, what):
        words = " ".join((self.folder / log).read_text(errors="replace") for log in ("qemu.log", "boot.log"))
        return f"the virtual machine: {what}; {words[-1500:]}"

    def _fill(self, root):
        """Puts the machine's own files where they lie over the host's."""
        layers = f"lowerdir=/,upperdir={self.folder}/upper,workdir={self.folder}/work"
        self._mount("-t", "overlay", "-o", layers, "overlay", root)
        files = {**self.files, "/etc/fstab": "", "/etc/systemd/system/test-agent.service": AGENT}
        files["/etc/systemd/system/test-network.service"] = NETWORK.format(
            name=self.network.name, address=self.network.address
        )
        # Scripts start the services: without their secrets they would start again and again while the machine boots.
        for path, text in self.files.items():
            if path.endswith(".service") and "[Install]" in text:
                self.services.append(Path(path).name)
                files[path] = text.split("[Install]")[0]
        for path, text in files.items():
            self._place(root, path, text)
        if self.prepare:
            self.prepare(root)
        units = root / "etc/systemd/system"
        # What this host runs at its own boot.
        for unit in {*MASKED, *(link.name for link in Path("/etc/systemd/system").glob("*.*s/*"))}:
            (units / unit).unlink(missing_ok=True)
            (units / unit).symlink_to("/dev/null")
        ours = ["test-agent.service", "test-network.service"]
        subprocess.run(["systemctl", f"--root={root}", "--quiet", "enable", *ours], check=True)
        # From here on qemu reads the upper layer by itself.
        subprocess.run(["umount", root], check=True)
        self.mounts.remove(root)


class Agent:
    """The program inside that runs commands. `end` says why the machine will not answer any more."""

    def __init__(self, path, end):
        self.end, self.answers, self.last, self.news = end, {}, 0, threading.Condition()
        while not path.exists():
            self._check()
            time.sleep(0.02)
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(str(path))
        threading.Thread(target=self._listen, daemon=True).start()

    def ask(self, command, timeout, again=False):
        """Runs a command once, or `again` and again until it succeeds."""
        self.last += 1
        request = {"id": self.last, "command": command, "timeout": timeout, "again": again}
        self.socket.sendall(json.dumps(request).encode() + b"\n")
        return self.take(self.last)

    def take(self, id):
        with self.news:
            while not self.news.wait_for(lambda: id in self.answers, timeout=1):
                self._check()
            return self.answers.pop(id)

    def _check(self):
        if reason := self.end():
            raise driver.Failed(reason)

    def _listen(self):
        for line in self.socket.makefile("rb"):
            answer = json.loads(line)
            with self.news:
                self.answers[answer["id"]] = answer
                self.news.notify_all()
