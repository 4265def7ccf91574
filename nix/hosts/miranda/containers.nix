# The MCP servers that run in containers on miranda. Each has a port on the loopback and sends its log to a
# syslog port of its own, where Alloy takes it (./logs.nix).
#
# Docker, since Podman has no syslog driver. The tags are placeholders of this example: pin digests.
{ lib, ... }:

let
  servers = {
    neo4j-cypher = {
      image = "mcp/neo4j-cypher:latest";
      port = 25531;
      syslog = 51431;
      environment = {
        NEO4J_URI = "bolt://ariel.incus:7687";
        NEO4J_TRANSPORT = "http";
        NEO4J_MCP_SERVER_HOST = "0.0.0.0";
      };
    };
    neo4j-memory = {
      image = "mcp/neo4j-memory:latest";
      port = 25532;
      syslog = 51432;
      environment = {
        NEO4J_URL = "bolt://ariel.incus:7687";
        NEO4J_TRANSPORT = "http";
        NEO4J_MCP_SERVER_HOST = "0.0.0.0";
      };
    };
    grafana-mcp = {
      image = "mcp/grafana:latest";
      port = 25533;
      syslog = 51433;
      environment.GRAFANA_URL = "http://prospero.incus:3000";
      cmd = [
        "-t"
        "streamable-http"
        "--address"
        "0.0.0.0:8000"
      ];
    };
    argos = {
      # Private: a SearXNG front of this site.
      image = "registry.incus/argos-searxng:latest";
      port = 25534;
      syslog = 51434;
      # Also reached as miranda.incus, so not on the loopback alone.
      address = "0.0.0.0";
    };
    gitea-mcp = {
      image = "docker.gitea.com/gitea-mcp-server:latest";
      port = 25535;
      syslog = 51435;
      cmd = [
        "/app/gitea-mcp"
        "-t"
        "http"
        "--port"
        "8000"
      ];
    };
  };

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
