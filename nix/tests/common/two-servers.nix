# A gateway with two keys, a local server without the network, one for which there is only the internet, and a remote one that wants a token; each
# server has a secret of its own. The test scripts write the secrets.
{ pkgs, ... }:

{
  services.mcpo-gateway = {
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
        secretFiles.TIME_KEY_FILE = "/run/secrets/time-key";
      };
      context7 = {
        package = pkgs.context7-mcp;
        secrets.CONTEXT7_API_KEY = "/run/secrets/context7";
        network = "internet";
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
