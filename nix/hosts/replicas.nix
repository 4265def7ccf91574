# Three replicas of one gateway behind HAProxy, with the Redis that they share, and one host for the servers that have
# state: a module for each host. Clients know the balancer alone.
#
# All replicas have the same configuration and the same secrets. What a local server keeps in its process would be there
# three times, so it runs behind a gateway of its own, which the replicas reach as a remote server.
#
# Secrets are files that root alone can read.
let
  domain = "incus";

  replica = name: {
    services.mcpo-gateway = {
      enable = true;
      host = "0.0.0.0";
      port = 25530;
      openFirewall = true;

      apiKeys.client.file = "/run/secrets/client";

      replica = {
        inherit name;
        url = "http://${name}.${domain}:25530";
      };
      sessionKeyFile = "/run/secrets/session-key";
      shared = "redis://:\${credential:redis}@balancer.${domain}";
      credentials.redis = "/run/secrets/redis";
      # HAProxy has looked twice before the port closes.
      settings.limits.leave = 3;

      servers.memory = {
        url = "http://stateful.${domain}:25530/memory/mcp";
        headers.Authorization = {
          prefix = "Bearer ";
          file = "/run/secrets/replicas";
        };
      };
    };
  };
in
{
  one = replica "one";
  two = replica "two";
  three = replica "three";

  balancer = {
    services.haproxy = {
      enable = true;
      config = builtins.readFile ../haproxy.cfg;
    };
    systemd.services.haproxy.environment = {
      MCPO_LISTEN = "0.0.0.0:80";
      MCPO_REPLICA_1 = "one.${domain}:25530";
      MCPO_REPLICA_2 = "two.${domain}:25530";
      MCPO_REPLICA_3 = "three.${domain}:25530";
    };

    # Where it is one more machine, it may be lost: calls go on, and each replica counts for itself meanwhile.
    services.redis.servers.mcpo = {
      enable = true;
      port = 6379;
      bind = null;
      requirePassFile = "/run/secrets/redis";
    };

    networking.firewall.allowedTCPPorts = [
      80
      6379
    ];
  };

  stateful =
    { pkgs, ... }:
    {
      services.mcpo-gateway = {
        enable = true;
        host = "0.0.0.0";
        port = 25530;
        openFirewall = true;
        apiKeys.replicas.file = "/run/secrets/replicas";
        servers.memory = {
          package = pkgs.mcp-server-memory;
          state = true;
          env.MEMORY_FILE_PATH = "/var/lib/mcpo-server-memory/memory.jsonl";
        };
      };
    };
}
