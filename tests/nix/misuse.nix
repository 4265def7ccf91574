# Mistakes, each with a piece of the message that must come of it: `failing` has those that assertions refuse, and
# `throwing` those that stop the evaluation of a system (their message is printed by nix; the runner looks for it).
{
  evaluate ? import ./evaluate.nix,
}:

let
  lib = import ./stand-in/lib.nix;
  mcpo = settings: [
    {
      services.mcpo = {
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
    "a secret in the store" = {
      configuration.servers.time = time // {
        secrets.TOKEN = "/nix/store/00000000000000000000000000000000-token";
      };
      says = "services.mcpo.servers.time.secrets.TOKEN is in the Nix store";
    };
    "a secret that Nix would copy" = {
      configuration.servers.github = remote // {
        headers.Authorization.file = ./misuse.nix;
      };
      says = "services.mcpo.servers.github.headers.Authorization.file is in the Nix store, or would be copied there";
    };
    "a key in the store" = {
      configuration.apiKeys.me.file = "/nix/store/00000000000000000000000000000000-key";
      says = "services.mcpo.apiKeys.me.file is in the Nix store";
    };
    "the secret itself instead of its file" = {
      configuration.apiKeys.me.file = "sk-123";
      says = "never the secret itself";
    };
    "a colon in the path of a secret" = {
      configuration.credentials.key = "/run/a:b";
      says = "Give the file another name";
    };
    "a secret in an open header" = {
      configuration.servers.github = remote // {
        headers.Authorization = "Bearer abc";
      };
      says = "services.mcpo.servers.github.headers.Authorization would stand in the world-readable store";
    };
    "a secret in the settings" = {
      configuration.servers.github = remote // {
        settings.oauth.clientSecret = "abc";
      };
      says = "services.mcpo.servers.github.settings.oauth.clientSecret would stand in the world-readable store";
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
      says = ''services.mcpo.apiKeys."a b".file and services.mcpo.apiKeys.a-b.file would both be the credential `key-a-b`'';
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
      says = "services.mcpo.servers.a.headers.b-c.file and services.mcpo.servers.a-b.headers.c.file would both be the credential `header-a-b-c`";
    };
    "a credential with the name of a key's" = {
      configuration = {
        apiKeys.me.file = "/run/secrets/me";
        credentials.key-me = "/run/secrets/other";
      };
      says = "services.mcpo.apiKeys.me.file and services.mcpo.credentials.key-me would both be the credential `key-me`";
    };
    "a credential with a bad name" = {
      configuration.credentials."a:b" = "/run/secrets/a";
      says = "`a:b` cannot be the name of a credential";
    };
    "a server that is neither" = {
      configuration.servers.time = { };
      says = "services.mcpo.servers.time says neither what to run nor where the server is";
    };
    "a server that is both" = {
      configuration.servers.time = time // remote;
      says = "services.mcpo.servers.time has `command` and `url`";
    };
    "a header for a local server" = {
      configuration.servers.time = time // {
        headers.X-A = "b";
      };
      says = "services.mcpo.servers.time.headers means nothing to a server that this machine runs";
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
      says = "services.mcpo.servers.github.network means nothing to a remote server";
    };
    "a command without its path" = {
      configuration.servers.time.command = "uvx";
      says = "services.mcpo.servers.time.command is `uvx`, which is no absolute path";
    };
    "a way around the unit" = {
      configuration.servers.time = time // {
        settings.command = "/bin/sh";
      };
      says = "services.mcpo.servers.time.settings.command would bypass the unit";
    };
    "a variable that is secret and not" = {
      configuration.servers.time = time // {
        env.A = "1";
        secrets.A = "/run/secrets/a";
      };
      says = "sets A both in `env` and in `secrets`";
    };
    "a variable with a bad name" = {
      configuration.servers.time = time // {
        secrets."A-B" = "/run/secrets/a";
      };
      says = "`A-B` cannot be the name of an environment variable";
    };
    "a setting that has an option" = {
      configuration.settings.tls.key = "/srv/tls/a-key.pem";
      says = "services.mcpo.settings.tls has an option of its own. Use services.mcpo.tls.";
    };
    "a privileged port" = {
      configuration.port = 80;
      says = "services.mcpo.port is 80, but ports below 1024 need a privilege";
    };
    "a server at the gateway's own port" = {
      configuration = {
        port = 25530;
        servers.grafana.url = "http://localhost:25530/mcp";
      };
      says = "services.mcpo.servers.grafana.url is the address of the gateway itself";
    };
    "an option's key in the settings" = {
      configuration.settings.mcpServers.time.command = "/bin/sh";
      says = "services.mcpo.settings.mcpServers has an option of its own. Use services.mcpo.servers.";
    };
  }
  // import ./misuse/oauth.nix { inherit time remote; }
  // import ./misuse/service.nix { inherit time; };

  throwing = {
    "a misspelt option" = {
      configuration.sever.time = time;
      says = "services.mcpo.sever' does not exist";
    };
    "a misspelt option of a server" = {
      configuration.servers.time = time // {
        argz = [ ];
      };
      says = "services.mcpo.servers.time.argz' does not exist";
    };
    "text for a port" = {
      configuration.port = "25530";
      says = "services.mcpo.port' is not of type";
    };
    # Of the assertions above, one as a whole system meets it.
    "a reserved name in a system" = {
      configuration.servers.docs = time;
      says = "Failed assertion: services.mcpo.servers.docs: `docs` is a path of the gateway itself";
    };
    "a rate without its time" = {
      configuration.servers.time = time // {
        rate.calls = 5;
      };
      says = "services.mcpo.servers.time.rate.per' was accessed but has no value defined";
    };
    "an unknown transport" = {
      configuration.servers.time = remote // {
        transport = "htp";
      };
      says = "services.mcpo.servers.time.transport' is not of type";
    };
  };

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
    port = 25530;
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
      };
      "a b" = remote;
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
    settings.limits.drain = 5;
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
