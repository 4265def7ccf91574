# miranda.incus, the MCP host, whole: an Incus container with thirteen MCP servers behind one port.
#
# Its image has two parts, `.#nixosConfigurations.miranda.config.system.build.metadata` and `.squashfs` in the place of
# `.metadata`: `nix build` makes each, and `incus image import METADATA SQUASHFS` takes both.
#
# On the Incus host, of this container:
#
#   config:
#     security.nesting: "true"
#     raw.lxc: lxc.apparmor.profile=unconfined
#   devices:
#     mcp_containers:
#       type: proxy
#       listen: tcp:0.0.0.0:25530-25539
#       connect: tcp:127.0.0.1:25530-25539
#     mcpo_ports:
#       type: proxy
#       listen: tcp:0.0.0.0:25560-25569
#       connect: tcp:127.0.0.1:25560-25569
#
# The two proxies have a consequence: whoever reaches the Incus host reaches these servers, and every such caller has
# the peer address 127.0.0.1. An address proves nothing about who calls, and only API keys do. The firewall below
# opens the gateway's port for callers inside the Incus network, who come by the bridge.
#
# Without `security.nesting` systemd can make neither credentials nor sandboxes, since both need mounts of their own.
# `nestedContainer` in ./miranda/gateway.nix says that they can be made.
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
