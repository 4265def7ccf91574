# A gateway with two keys, a local server without the network, one with it, and a remote one that wants a token; each
# server has a secret of its own. The test scripts write the secrets.
{ pkgs, ... }:

{
  services.mcpo = {
    enable = true;
    port = 25530;

    apiKeys = {
      operator = {
        file = "/run/secrets/operator";
        admin = true;
      };
      reader = {
        file = "/run/secrets/reader";
        servers = [ "time" ];
        rate = "2/h";
      };
    };

    audit = {
      to = "file";
      arguments = "digest";
      secret.file = "/run/secrets/audit";
    };

    servers = {
      time = {
        package = pkgs.mcp-server-time;
        args = [ "--local-timezone=UTC" ];
        secrets.TIME_TOKEN = "/run/secrets/time";
      };
      context7 = {
        package = pkgs.context7-mcp;
        secrets.CONTEXT7_API_KEY = "/run/secrets/context7";
        network = true;
      };
      athena = {
        url = "http://127.0.0.1:22461/mcp";
        headers.Authorization = {
          prefix = "Bearer ";
          file = "/run/secrets/athena";
        };
      };
    };
  };
}
