# miranda.incus, the MCP host, whole: an Incus container with thirteen MCP servers behind one port.
#
# The host forwards 0.0.0.0:25530-25539 and 0.0.0.0:25560-25569 to the same ports of this container's loopback
# (Incus proxy devices). So whoever reaches the host reaches these servers, and every such caller has the peer
# address 127.0.0.1: an address proves nothing about who calls, and only API keys do. The firewall below
# opens the gateway's port for callers inside the Incus network, who come by the bridge.
#
# The container needs `security.nesting=true`: systemd's credentials and sandboxes need mounts of their own.
#
# Secrets are files that root alone can read; the names below are those that the deployment puts there.
{ lib, modulesPath, ... }:

{
  imports = [
    "${modulesPath}/virtualisation/lxc-container.nix"
    ./miranda/gateway.nix
    ./miranda/servers.nix
    ./miranda/containers.nix
    ./miranda/logs.nix
  ];

  networking = {
    hostName = "miranda";
    domain = "incus";
    useDHCP = lib.mkDefault true;
  };

  system.stateVersion = "26.05";
}
