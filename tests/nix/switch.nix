# What a switch of the system does with mcpo.service when something of its configuration changed: NixOS reloads a unit
# of which only `X-Reload-Triggers=` differs, and restarts it when anything else does. Gives the cases that went wrong.
let
  evaluate = import ./evaluate.nix;
  lib = import ./stand-in/lib.nix;
  of =
    change:
    evaluate [
      {
        services.mcpo = {
          enable = true;
          servers.time.command = "/bin/time-server";
          servers.github = {
            url = "https://example.org/mcp";
            headers.Authorization.file = lib.mkDefault "/run/secrets/github";
          };
        };
        system.stateVersion = "26.05";
      }
      { services.mcpo = change; }
    ];

  isTrigger = line: builtins.isString line && lib.hasPrefix "X-Reload-Triggers=" line;
  lines = result: builtins.split "\n" result.units."mcpo.service";
  trigger = result: builtins.filter isTrigger (lines result);
  others = result: builtins.filter (line: !isTrigger line) (lines result);
  configuration = result: result.config.services.mcpo.configData;
  before = of { };

  reloads =
    change:
    let
      after = of change;
    in
    others after == others before
    && builtins.length (trigger after) == 1
    && configuration after != configuration before;
  restarts = change: others (of change) != others before;

  tls.tls = {
    certificate = "/srv/tls/a.pem";
    key = "/srv/tls/a-key.pem";
  };

  cases = {
    "another server" = reloads { servers.other.url = "https://example.org/other"; };
    "a setting" = reloads { settings.limits.concurrency = 5; };
    "another program of a local server" = reloads { servers.time.args = [ "--local-timezone=UTC" ]; };
    "another memory limit of a local server" = reloads { servers.time.memoryMax = "1G"; };
    "another path of a secret" = restarts {
      servers.github.headers.Authorization.file = "/run/secrets/other";
    };
    "another port" = restarts { port = 8001; };
    "another address" = restarts { host = "0.0.0.0"; };
    "another level of the log" = restarts { settings.log.level = "debug"; };
    "an audit trail" = restarts { audit.to = "journal"; };
    "TLS" = restarts tls;
    "other files of TLS are a reload" =
      others (of {
        tls = tls.tls // {
          key = "/srv/tls/b-key.pem";
        };
      }) == others (of tls);
    "another lock" = reloads { lock.file = ./tools.lock; };
    "another rate" = reloads { servers.time.rate = "5/s"; };
    "another key" = restarts { apiKeys.me.file = "/run/secrets/me"; };
    "the configuration is checked when the system is built" = lib.hasInfix "/bin/mcpo check --config " (
      before.config.services.mcpo.configFile.script
    );
    "the reload's trigger is the configuration" =
      map toString before.config.systemd.services.mcpo.reloadTriggers == [
        (toString before.config.services.mcpo.configFile)
      ];
  };
in
builtins.filter (name: !cases.${name}) (builtins.attrNames cases)
