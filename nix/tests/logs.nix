# The journal of the gateway and of its servers reaches Loki as job="mcpo", labelled with the host's name.
let
  inherit (import ./layouts/isolation.nix) nodes prelude;
in
{
  inherit prelude;
  nodes = {
    miranda.imports = [
      nodes.miranda
      ../hosts/miranda/logs.nix
    ];
    prospero = {
      networking.firewall.allowedTCPPorts = [ 3100 ];
      services.loki = {
        enable = true;
        configuration = {
          auth_enabled = false;
          server.http_listen_port = 3100;
          common = {
            path_prefix = "/var/lib/loki";
            replication_factor = 1;
            ring = {
              instance_addr = "127.0.0.1";
              kvstore.store = "inmemory";
            };
          };
          schema_config.configs = [
            {
              from = "2024-01-01";
              store = "tsdb";
              object_store = "filesystem";
              schema = "v13";
              index = {
                prefix = "index_";
                period = "24h";
              };
            }
          ];
          storage_config.filesystem.directory = "/var/lib/loki/chunks";
        };
      };
    };
  };
}
