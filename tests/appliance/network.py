"""A network of its own for the machines of a site: a namespace each, joined by a bridge that lives in one more.

Nothing of it touches the host's own network. Addresses are those that are reserved for documentation (RFC 5737).
"""
import os
import subprocess

import driver


class Network:
    def __init__(self, nodes):
        self.prefix = f"mcpo-{os.getpid()}"
        self.hub = f"{self.prefix}-hub"
        self.ports = {name: Port(self, name, f"192.0.2.{number}") for number, name in enumerate(nodes, 1)}
        self.made = []

    def start(self):
        self._add(self.hub)
        ip("-n", self.hub, "link", "add", "bridge", "type", "bridge")
        ip("-n", self.hub, "link", "set", "bridge", "up")
        for port in self.ports.values():
            self._add(port.namespace)
            ip("-n", self.hub, "link", "add", port.name, "type", "veth", "peer", "name", "eth0", "netns", port.namespace)
            ip("-n", self.hub, "link", "set", port.name, "master", "bridge")
            ip("-n", port.namespace, "address", "add", f"{port.address}/24", "dev", "eth0")
            ip("-n", port.namespace, "link", "set", "eth0", "up")
            port.set("up")

    def stop(self):
        """Takes all of it down; safe to call at any moment and more than once."""
        for namespace in reversed(self.made):
            subprocess.run(["ip", "netns", "delete", namespace], stderr=subprocess.DEVNULL)
        self.made = []

    def _add(self, namespace):
        ip("netns", "add", namespace)
        self.made.append(namespace)


class Port:
    """Where one machine is plugged in."""

    def __init__(self, network, name, address):
        self.network, self.name, self.address = network, name, address
        self.namespace = f"{network.prefix}-{name}"

    @property
    def options(self):
        """For systemd-nspawn."""
        return [f"--network-namespace-path=/run/netns/{self.namespace}", f"--hostname={self.name}"]

    def set(self, state):
        ip("-n", self.network.hub, "link", "set", self.name, state)


def ip(*arguments):
    run = subprocess.run(["ip", *arguments], stderr=subprocess.PIPE, text=True)
    if run.returncode != 0:
        raise driver.Unbootable(f"`ip {' '.join(arguments)}` refused: {run.stderr.strip()}")
