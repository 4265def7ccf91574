# What stands around the gateway: the README's configurations for sops-nix and agenix (`sops` and `agenix` are files with
# them), monitoring, nginx, and the module for home-manager. Gives the cases that went wrong.
{ sops, agenix }:

let
  evaluate = import ./evaluate.nix;
  lib = import ./stand-in/lib.nix;
  inherit (lib) mkOption types;
  of = modules: evaluate (modules ++ [ { system.stateVersion = "26.05"; } ]);

  # The options of the two that the README sets or reads, with their meaning.
  secrets =
    folder: extra:
    mkOption {
      type = types.attrsOf (
        types.submodule (
          { name, ... }:
          {
            options = {
              path = mkOption {
                type = types.str;
                default = "${folder}/${name}";
              };
            }
            // extra;
          }
        )
      );
      default = { };
    };
  units = mkOption {
    type = types.listOf types.str;
    default = [ ];
  };
  withSops = of [
    (import sops)
    { options.sops.secrets = secrets "/run/secrets" { restartUnits = units; }; }
  ];
  withAgenix = of [
    (import agenix)
    { options.age.secrets = secrets "/run/agenix" { file = mkOption { type = types.path; }; }; }
  ];
  loads =
    result: file:
    lib.hasInfix "LoadCredential=header-github-Authorization:${file}\n" result.units."mcpo.service";

  monitored = of [
    {
      services.mcpo-gateway.prometheusRules.enable = true;
      services.mcpo-gateway.grafanaDashboard.enable = true;
    }
  ];
  dashboards = monitored.config.services.grafana.provision.dashboards.settings.providers;

  front = of [
    {
      services.mcpo-gateway = {
        enable = true;
        host = "::1";
        nginx.virtualHost = "mcp.example.org";
      };
    }
  ];

  home = (import ./home.nix).config;

  cases = {
    "sops-nix" =
      loads withSops "/run/secrets/github"
      && withSops.failed == [ ]
      && withSops.config.sops.secrets.github.restartUnits == [ "mcpo.service" ];
    "agenix" = loads withAgenix "/run/agenix/github" && withAgenix.failed == [ ];
    "alerts without a gateway" =
      map baseNameOf monitored.config.services.prometheus.ruleFiles == [ "mcpo.rules.yml" ]
      && builtins.all builtins.pathExists monitored.config.services.prometheus.ruleFiles
      && !(monitored.units ? "mcpo.service");
    "the dashboard" =
      map (provider: builtins.readDir provider.options.path) dashboards
      == [ { "mcpo.json" = "regular"; } ];
    "nginx" =
      front.config.services.nginx.virtualHosts."mcp.example.org".locations."/".proxyPass
      == "http://[::1]:8000"
      && front.config.services.mcpo-gateway.configData.allowedHosts == [ "mcp.example.org" ]
      && builtins.any (lib.hasInfix "anyone who reaches mcp.example.org") front.warnings;
    "a gateway of one user" =
      lib.hasInfix "/bin/mcpo --config /nix/store/" home.systemd.user.services.mcpo.Service.ExecStart
      && lib.hasInfix "-mcp-server-time/bin:" home.systemd.user.services.mcpo.Service.Environment
      && builtins.length home.home.packages == 1;
  };
in
builtins.filter (name: !cases.${name}) (builtins.attrNames cases)
