# A gateway that uses the options of `services.mcpo-gateway` that no layout uses: `config` is its configuration file, `lines` those
# lines of its unit that hang on these options.
let
  lib = import ./stand-in/lib.nix;
  evaluated = import ./evaluate.nix [
    {
      services.mcpo-gateway = {
        enable = true;
        publicUrl = "https://mcp.example.org";
        shared = "rediss://redis.example.org";
        sessionKeyFile = [
          "/run/secrets/session"
          "/run/secrets/session-before"
        ];
        replica.name = "gateway-1";
        apiKeys = {
          slow = {
            file = "/run/secrets/slow";
            rate = "60/min";
            concurrency = 4;
            profile = "small";
            openWebUi = {
              secret.file = "/run/secrets/open-webui-jwt";
              users = [ { claims.role = "user"; } ];
            };
          };
          odd = {
            file = "/run/secrets/odd";
            rate = {
              calls = 3;
              per = 0.5;
              burst = 1;
            };
          };
        };
        profiles = {
          small = {
            servers = [ "time" ];
            tools = [ "time_*" ];
          };
          whole = { };
        };
        tls.useACMEHost = "mcp.example.org";
        lock = {
          file = ./tools.lock;
          drift = "quarantine";
        };
        audit = {
          to = "file";
          arguments = "digest";
          secret.file = "/run/secrets/audit";
        };
        servers = {
          time = {
            command = "/bin/time-server";
            rate = {
              calls = 10;
              per = 1;
            };
            concurrency = 2;
            isolation = "user";
          };
          machine = {
            url = "https://a.example.org/mcp";
            oauth = {
              grant = "client_credentials";
              clientId = "mcpo";
              privateKey.file = "/run/secrets/machine.pem";
              scopes = [ "read" ];
              issuer = "https://login.example.org";
            };
          };
          registered = {
            url = "https://b.example.org/mcp";
            oauth = {
              clientId = "mcpo";
              clientSecret.file = "/run/secrets/registered";
            };
          };
          several.url = [
            "https://d.example.org/mcp"
            "https://e.example.org/mcp"
          ];
          people = {
            url = "https://c.example.org/mcp";
            oauth = { };
            settings.required = true;
          };
        };
        settings = {
          strictAuth = true;
          pathPrefix = "/tools";
          limits.concurrency = 8;
        };
      };
      system.stateVersion = "26.05";
    }
  ];
  inherit (evaluated.config) security services;
in
{
  config = services.mcpo-gateway.configData;
  inherit (evaluated) failed;
  reloads = security.acme.certs."mcp.example.org".reloadServices;
  lines = builtins.filter (
    line:
    builtins.isString line
    && builtins.any (name: lib.hasPrefix "${name}=" line) [
      "After"
      "LoadCredential"
      "LogsDirectory"
      "SetCredential"
      "SupplementaryGroups"
      "Wants"
    ]
  ) (builtins.split "\n" evaluated.units."mcpo.service");
}
