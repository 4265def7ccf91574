# Mistakes, each with a piece of the message that must come of it: `failing` has those that assertions refuse, and
# `throwing` those that types do, which stops the evaluation (nix prints the message; ./refused.py looks for it).
{
  evaluate ? import ./evaluate.nix,
  # Whether it refuses options of NixOS that do not exist.
  undeclared ? true,
}:

let
  lib = import ./stand-in/lib.nix;
  mcpo = settings: [
    {
      services.mcpo-gateway = {
        enable = true;
      }
      // settings;
      system.stateVersion = "26.05";
    }
  ];
  time = {
    command = "/bin/time-server";
  };
  remote = {
    url = "http://example.org/mcp";
  };

  failing = {
    "names that become one unit" = {
      configuration.servers = {
        "my server" = time;
        "my/server" = time;
      };
      says = "would both be `mcpo-server-my-server`";
    };
    "keys that become one credential" = {
      configuration.apiKeys = {
        "a b".file = "/run/secrets/a";
        "a-b".file = "/run/secrets/b";
      };
      says = ''services.mcpo-gateway.apiKeys."a b".file and services.mcpo-gateway.apiKeys.a-b.file would both be the credential `key-a-b`'';
    };
    "headers of two servers that become one credential" = {
      configuration.servers = {
        a = remote // {
          headers.b-c.file = "/run/secrets/a";
        };
        a-b = remote // {
          headers.c.file = "/run/secrets/a-b";
        };
      };
      says = "services.mcpo-gateway.servers.a.headers.b-c.file and services.mcpo-gateway.servers.a-b.headers.c.file would both be the credential `header-a-b-c`";
    };
    "a credential with the name of a key's" = {
      configuration = {
        apiKeys.me.file = "/run/secrets/me";
        credentials.key-me = "/run/secrets/other";
      };
      says = "services.mcpo-gateway.apiKeys.me.file and services.mcpo-gateway.credentials.key-me would both be the credential `key-me`";
    };
    "a secret for OAuth with the name of a credential" = {
      configuration = {
        servers.github = remote // {
          oauth = {
            grant = "client_credentials";
            clientId = "mcpo";
            clientSecret.file = "/run/secrets/oauth";
          };
        };
        credentials.oauth-clientSecret-github = "/run/secrets/other";
      };
      says = "services.mcpo-gateway.servers.github.oauth.clientSecret.file would both be the credential `oauth-clientSecret-github`";
    };
  };

  option = name: "services.mcpo-gateway.${name}' ";
  secretText = "absolute path, without `:` and outside the Nix store, of a file on the machine that holds the secret";
  tables = {
    inherit
      option
      secretText
      time
      remote
      ;
  };
  throwing =
    lib.optionalAttrs undeclared {
      "a misspelt option" = {
        configuration.sever.time = time;
        says = "services.mcpo-gateway.sever' does not exist";
      };
    }
    // import ./misuse/types.nix tables
    // import ./misuse/servers.nix tables
    // import ./misuse/oauth.nix tables;

  messages = configuration: (evaluate (mcpo configuration)).failed;
in
{
  # Names of the cases whose message did not come, or came with others beside it.
  wrong = builtins.filter (
    name:
    let
      case = failing.${name};
      found = messages case.configuration;
    in
    !(builtins.length found == 1 && lib.hasInfix case.says (builtins.head found))
  ) (builtins.attrNames failing);
  cases = builtins.length (builtins.attrNames failing);

  # One attribute a case; forcing it fails.
  thrown = builtins.mapAttrs (
    _: case: (evaluate (mcpo case.configuration)).config.system.build.toplevel.outPath
  ) throwing;
  says = builtins.mapAttrs (_: case: case.says) throwing;

  # The same table must not refuse what is right.
  accepted = messages {
    port = 80;
    host = "0.0.0.0";
    apiKeys.me = {
      file = "/run/secrets/me";
      servers = [ "time" ];
      profile = "small";
      readOnly = true;
    };
    profiles.small.tools = [ "time_*" ];
    servers = {
      time = time // {
        env.A = "100% $HOME";
        secrets.B = "/run/secrets/b";
        args = [
          "--price=$5"
          "50%"
          ''say "hi"''
        ];
        state = true;
        cache = true;
        maxConnections = 16;
      };
      "a b" = remote;
      fetched = {
        npx = "@scope/server@1.0.0-rc.1";
        memoryMax = "infinity";
        path = [ { outPath = "/nix/store/00000000000000000000000000000000-git"; } ];
      };
      python = {
        uvx = "mcp-server[all]@2026.1.14";
        network = "internet";
        memoryMax = "1.5G";
      };
      "a-b" = remote;
      github = remote // {
        headers = {
          Authorization = {
            prefix = "Bearer ";
            file = "/run/secrets/github";
          };
          X-Toolset = "all";
        };
      };
    };
    settings.limits = {
      drain = 5;
      identities = 14;
    };
  };
  warned =
    (evaluate (mcpo {
      host = "0.0.0.0";
    })).warnings;
  quoted =
    (evaluate (mcpo {
      servers.time = time // {
        args = [
          "--price=$5"
          "50%"
          ''say "hi"''
        ];
        env.A = "100%";
      };
    })).units."mcpo-server-time@.service";
}
