# The MCP servers that run in containers on miranda. Each has a port on the loopback and sends its log to a
# syslog port of its own, where Alloy takes it (./logs.nix).
#
# Docker, since Podman has no syslog driver.
{ lib, ... }:

let
  servers = import ./table.nix;

  container = name: server: {
    inherit (server) image;
    cmd = server.cmd or [ ];
    environment = server.environment or { };
    # Passwords and the Gitea token: NAME=VALUE lines in a file that root alone can read.
    environmentFiles = [ "/run/secrets/${name}.env" ];
    ports = [ "${server.address or "127.0.0.1"}:${toString server.port}:8000" ];
    log-driver = "syslog";
    extraOptions = [
      "--log-opt=syslog-address=tcp://127.0.0.1:${toString server.syslog}"
      "--log-opt=syslog-format=rfc5424micro"
      "--log-opt=tag=${name}"
    ];
  };
in
{
  virtualisation.docker.enable = true;
  virtualisation.oci-containers = {
    backend = "docker";
    containers = lib.mapAttrs container servers;
  };
  # The driver refuses to start a container whose syslog port is closed.
  systemd.services = lib.mapAttrs' (
    name: _:
    lib.nameValuePair "docker-${name}" {
      after = [ "alloy.service" ];
      wants = [ "alloy.service" ];
    }
  ) servers;
  networking.firewall.allowedTCPPorts = [ servers.argos.port ];
}
