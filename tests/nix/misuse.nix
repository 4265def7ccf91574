# Mistakes, each with a piece of the message that must come of it: `failing` has those that assertions refuse, and
# `throwing` those that stop the evaluation of a system (their message is printed by nix; the runner looks for it).
{
  evaluate ? import ./evaluate.nix,
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
    "a secret in an open header" = {
      configuration.servers.github = remote // {
        headers.Authorization = "Bearer abc";
      };
      says = "services.mcpo-gateway.servers.github.headers.Authorization would stand in the world-readable store";
    };
    "a secret in the settings" = {
      configuration.servers.github = remote // {
        settings.oauth.clientSecret = "abc";
      };
      says = "services.mcpo-gateway.servers.github.settings.oauth.clientSecret would stand in the world-readable store";
    };
    "a reserved name" = {
      configuration.servers.docs = time;
      says = "`docs` is a path of the gateway itself";
    };
    "a name with the meaning of a path" = {
      configuration.servers.".well-known" = time;
      says = "Rename it, for instance to `.well-known-server`";
    };
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
    "a credential with a bad name" = {
      configuration.credentials."a:b" = "/run/secrets/a";
      says = "`a:b` cannot be the name of a credential";
    };
    "a server that is neither" = {
      configuration.servers.time = { };
      says = "services.mcpo-gateway.servers.time says neither what to run nor where the server is";
    };
    "a server that is both" = {
      configuration.servers.time = time // remote;
      says = "services.mcpo-gateway.servers.time has `command` and `url`";
    };
    "a header for a local server" = {
      configuration.servers.time = time // {
        headers.X-A = "b";
      };
      says = "services.mcpo-gateway.servers.time.headers means nothing to a server that this machine runs";
    };
    "a variable for a remote server" = {
      configuration.servers.github = remote // {
        secrets.TOKEN = "/run/secrets/token";
      };
      says = "give a secret to a remote server in `headers`";
    };
    "the network for a remote server" = {
      configuration.servers.github = remote // {
        network = true;
      };
      says = "services.mcpo-gateway.servers.github.network means nothing to a remote server";
    };
    "a server that is fetched and not" = {
      configuration.servers.time = remote // {
        uvx = "mcp-server-time@1.0";
      };
      says = "services.mcpo-gateway.servers.time has `url` and `uvx`";
    };
    "fewer instances than the gateway asks for" = {
      configuration.servers.time = time // {
        maxConnections = 16;
      };
      says = "services.mcpo-gateway.servers.time.maxConnections is 16, but the gateway may ask for 258 instances";
    };
    "a way around the unit" = {
      configuration.servers.time = time // {
        settings.command = "/bin/sh";
      };
      says = "services.mcpo-gateway.servers.time.settings.command would bypass the unit";
    };
    "a variable that is secret and not" = {
      configuration.servers.time = time // {
        env.A = "1";
        secrets.A = "/run/secrets/a";
      };
      says = "sets A in two of `env`, `secrets` and `secretFiles`";
    };
    "a secret that is text and file" = {
      configuration.servers.time = time // {
        secrets.A = "/run/secrets/a";
        secretFiles.A = "/run/secrets/b";
      };
      says = "sets A in two of `env`, `secrets` and `secretFiles`";
    };
    "a variable with a bad name" = {
      configuration.servers.time = time // {
        secrets."A-B" = "/run/secrets/a";
      };
      says = "`A-B` cannot be the name of an environment variable";
    };
    "a setting that has an option" = {
      configuration.settings.tls.key = "/srv/tls/a-key.pem";
      says = "services.mcpo-gateway.settings.tls has an option of its own. Use services.mcpo-gateway.tls.";
    };
    "a server at the gateway's own port" = {
      configuration = {
        port = 25530;
        servers.grafana.url = "http://localhost:25530/mcp";
      };
      says = "services.mcpo-gateway.servers.grafana.url is the address of the gateway itself";
    };
    "an option's key in the settings" = {
      configuration.settings.mcpServers.time.command = "/bin/sh";
      says = "services.mcpo-gateway.settings.mcpServers has an option of its own. Use services.mcpo-gateway.servers.";
    };
  }
  // import ./misuse/oauth.nix { inherit time remote; }
  // import ./misuse/service.nix { inherit time; };

  throwing = import ./misuse/types.nix { inherit time remote; };

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
