# What a switch of the system does with mcpo.service when something of its configuration changed: NixOS reloads a unit
# of which only `X-Reload-Triggers=` differs, and restarts it when anything else does. Gives the cases that went wrong.
let
  evaluate = import ./evaluate.nix;
  lib = import ./stand-in/lib.nix;
  of =
    change:
    evaluate [
      {
        services.mcpo-gateway = {
          enable = true;
          servers.time.command = "/bin/time-server";
          servers.github = {
            url = "https://example.org/mcp";
            headers.Authorization.file = lib.mkDefault "/run/secrets/github";
          };
        };
        system.stateVersion = "26.05";
      }
      { services.mcpo-gateway = change; }
    ];
  sockets =
    result:
    builtins.filter (name: builtins.match "mcpo-.*-[0-9]+[.]socket" name != null) (
      builtins.attrNames result.units
    );

  isTrigger = line: builtins.isString line && lib.hasPrefix "X-Reload-Triggers=" line;
  lines = result: builtins.split "\n" result.units."mcpo.service";
  trigger = result: builtins.filter isTrigger (lines result);
  others = result: builtins.filter (line: !isTrigger line) (lines result);
  configuration = result: result.config.services.mcpo-gateway.configData;
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
    # A socket that a switch knows keeps its address, so it must be another one.
    "another port is another socket" =
      sockets before == [ "mcpo-127.0.0.1-8000.socket" ]
      &&
        sockets (of {
          port = 80;
        }) == [ "mcpo-127.0.0.1-80.socket" ]
      &&
        sockets (of {
          host = "0.0.0.0";
        }) == [ "mcpo-0.0.0.0-8000.socket" ]
      && lib.hasInfix "ListenStream=[::1]:8000\n" (of { host = "::1"; }).units."mcpo---1-8000.socket";
    "a restart leaves the sockets open" =
      lib.hasInfix "X-StopIfChanged=false\n"
        before.units."mcpo.service";
    "a reload is waited for where systemd can" =
      let
        newer =
          (evaluate [
            {
              services.mcpo-gateway.enable = true;
              system.stateVersion = "26.05";
              systemd.package.version = "253";
            }
          ]).units."mcpo.service";
      in
      lib.hasInfix "Type=notify-reload\n" newer
      && !(lib.hasInfix "ExecReload" newer)
      && lib.hasInfix "ExecReload" before.units."mcpo.service";
    "what a unit is denied can be widened as in any unit" =
      let
        wider = evaluate [
          {
            services.mcpo-gateway.enable = true;
            services.mcpo-gateway.servers.time.command = "/bin/time-server";
            systemd.services."mcpo-server-time@".serviceConfig.ProtectHome = "tmpfs";
            system.stateVersion = "26.05";
          }
        ];
      in
      lib.hasInfix "ProtectHome=tmpfs\n" wider.units."mcpo-server-time@.service"
      && lib.hasInfix "ProtectClock=true\n" wider.units."mcpo-server-time@.service";
    "the old name is the new one" =
      let
        alias = evaluate [
          ../../nix/module/alias.nix
          {
            services.mcpo = {
              enable = true;
              port = 8080;
            };
            system.stateVersion = "26.05";
          }
        ];
      in
      alias.failed == [ ]
      && alias.units ? "mcpo-127.0.0.1-8080.socket"
      && alias.config.services.mcpo.servers == { }
      && alias.config.services.mcpo.configData.port == 8080;
    "the configuration is checked when the system is built" = lib.hasInfix "/bin/mcpo check --config " (
      before.config.services.mcpo-gateway.configFile.script
    );
    "the reload's trigger is the configuration" =
      map toString before.config.systemd.services.mcpo.reloadTriggers == [
        (toString before.config.services.mcpo-gateway.configFile)
      ];
  };
in
builtins.filter (name: !cases.${name}) (builtins.attrNames cases)
