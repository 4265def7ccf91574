# Evaluates modules as a NixOS system: the options of NixOS that this repository sets, and the text of systemd units
# as NixOS writes it.
{
  modules,
  pkgs,
  specialArgs ? { },
}:

let
  lib = import ./lib.nix;
  inherit (lib) mkOption types;

  free = mkOption {
    type = types.anything;
    default = { };
  };
  texts = mkOption {
    type = types.listOf types.str;
    default = [ ];
  };

  unit =
    extra:
    types.submodule {
      options = {
        description = mkOption {
          type = types.str;
          default = "";
        };
        wantedBy = texts;
        wants = texts;
        after = texts;
        before = texts;
        unitConfig = free;
      }
      // extra;
    };

  service = unit {
    path = free // {
      default = [ ];
    };
    environment = mkOption {
      type = types.attrsOf (types.nullOr types.str);
      default = { };
    };
    restartIfChanged = mkOption {
      type = types.bool;
      default = true;
    };
    stopIfChanged = mkOption {
      type = types.bool;
      default = true;
    };
    startLimitIntervalSec = mkOption {
      type = types.nullOr types.int;
      default = null;
    };
    reloadTriggers = free // {
      default = [ ];
    };
    restartTriggers = free // {
      default = [ ];
    };
    serviceConfig = free;
  };

  certificate = types.submodule (
    { name, ... }:
    {
      options = {
        directory = mkOption {
          type = types.str;
          default = "/var/lib/acme/${name}";
        };
        group = mkOption {
          type = types.str;
          default = "acme";
        };
        reloadServices = texts;
      };
    }
  );

  slice = unit { sliceConfig = free; };

  socket = unit {
    listenStreams = texts;
    socketConfig = free;
  };

  line =
    name: value:
    map (
      one: "${name}=${if builtins.isBool one then (if one then "true" else "false") else toString one}"
    ) (if builtins.isList value then value else [ value ]);
  section =
    title: settings: [ "[${title}]" ] ++ builtins.concatLists (lib.mapAttrsToList line settings);
  # A setting that lists units, when there are any.
  listed = name: units: lib.optionalAttrs (units != [ ]) { ${name} = toString units; };
  trigger =
    name: values:
    lib.optionalAttrs (values != [ ]) {
      ${name} = pkgs.writeText name (toString values);
    };

  common =
    definition:
    section "Unit" (
      listed "Wants" definition.wants
      // listed "After" definition.after
      // listed "Before" definition.before
      // trigger "X-Restart-Triggers" (definition.restartTriggers or [ ])
      // trigger "X-Reload-Triggers" (definition.reloadTriggers or [ ])
      // lib.optionalAttrs (definition.description != "") { Description = definition.description; }
      // lib.optionalAttrs (definition.startLimitIntervalSec or null != null) {
        StartLimitIntervalSec = definition.startLimitIntervalSec;
      }
      // definition.unitConfig
    );
  install = definition: listed "WantedBy" definition.wantedBy;

  # Every NixOS service has these, after its own.
  ofEvery = [
    pkgs.coreutils
    pkgs.findutils
    pkgs.gnugrep
    pkgs.gnused
    pkgs.systemd
  ];
  environment =
    definition:
    let
      path = definition.path ++ ofEvery;
    in
    definition.environment
    // {
      LOCALE_ARCHIVE = "/run/current-system/sw/lib/locale/locale-archive";
      PATH = "${lib.makeBinPath path}:${
        builtins.replaceStrings [ "/bin" ] [ "/sbin" ] (lib.makeBinPath path)
      }";
      TZDIR = "/etc/zoneinfo";
    };

  serviceText =
    definition:
    common definition
    ++ [ "[Service]" ]
    ++ lib.mapAttrsToList (name: value: "Environment=${builtins.toJSON "${name}=${value}"}") (
      lib.filterAttrs (_: value: value != null) (environment definition)
    )
    ++ lib.optional (!definition.restartIfChanged) "X-RestartIfChanged=false"
    ++ lib.optional (!definition.stopIfChanged) "X-StopIfChanged=false"
    ++ builtins.tail (section "Service" definition.serviceConfig)
    ++ installText definition;

  socketText =
    definition:
    common definition
    ++ section "Socket" definition.socketConfig
    ++ map (stream: "ListenStream=${stream}") definition.listenStreams
    ++ installText definition;

  sliceText = definition: common definition ++ section "Slice" definition.sliceConfig;

  installText =
    definition: lib.optionals (definition.wantedBy != [ ]) (section "Install" (install definition));

  finish = lines: { text = builtins.concatStringsSep "\n" lines + "\n"; };
in
lib.evalModules {
  specialArgs = {
    inherit pkgs;
    # Stand-in profiles live beside this file under the names that they have in NixOS.
    modulesPath = toString ./modules;
  }
  // specialArgs;
  modules = [
    (
      { config, ... }:
      {
        options = {
          assertions = free // {
            default = [ ];
          };
          warnings = texts;
          environment.etc = free;
          environment.systemPackages = free // {
            default = [ ];
          };
          networking = {
            domain = free // {
              default = null;
            };
            firewall.allowedTCPPorts = mkOption {
              type = types.listOf types.port;
              default = [ ];
            };
            hostName = mkOption {
              type = types.str;
              default = "nixos";
            };
            extraHosts = mkOption {
              type = types.lines;
              default = "";
            };
            primaryIPAddress = mkOption {
              type = types.str;
              default = "192.168.1.1";
            };
            useDHCP = mkOption {
              type = types.bool;
              default = true;
            };
          };
          services.alloy.enable = lib.mkEnableOption "Alloy";
          services.grafana.provision = free;
          services.haproxy = {
            enable = lib.mkEnableOption "HAProxy";
            config = free;
          };
          services.loki = free;
          services.nginx = {
            enable = lib.mkEnableOption "nginx";
            virtualHosts = free;
          };
          services.prometheus = {
            enable = lib.mkEnableOption "Prometheus";
            globalConfig = free;
            ruleFiles = free // {
              default = [ ];
            };
            scrapeConfigs = free // {
              default = [ ];
            };
          };
          services.redis.servers = free;
          security.acme.certs = mkOption {
            type = types.attrsOf certificate;
            default = { };
          };
          security.pki.certificateFiles = texts;
          system.build = free;
          system.stateVersion = mkOption { type = types.str; };
          systemd = {
            services = mkOption {
              type = types.attrsOf service;
              default = { };
            };
            slices = mkOption {
              type = types.attrsOf slice;
              default = { };
            };
            sockets = mkOption {
              type = types.attrsOf socket;
              default = { };
            };
            package = free // {
              default = pkgs.systemd;
            };
            packages = free // {
              default = [ ];
            };
            tmpfiles.rules = texts;
            tmpfiles.settings = free;
            units = free;
          };
          users.groups = free;
          users.users = free;
          virtualisation.docker.enable = lib.mkEnableOption "Docker";
          virtualisation.oci-containers = free;
        };
        config = {
          system.build.toplevel = pkgs.writeText "system" (
            builtins.deepSeq
              (map (
                assertion: if assertion.assertion then null else throw "Failed assertion: ${assertion.message}"
              ) config.assertions)
              (
                builtins.toJSON (
                  builtins.attrValues config.systemd.units
                  ++ [
                    config.environment.etc
                    config.systemd.packages
                  ]
                )
              )
          );
          systemd.units =
            lib.mapAttrs' (
              name: definition: lib.nameValuePair "${name}.service" (finish (serviceText definition))
            ) config.systemd.services
            // lib.mapAttrs' (
              name: definition: lib.nameValuePair "${name}.socket" (finish (socketText definition))
            ) config.systemd.sockets
            // lib.mapAttrs' (
              name: definition: lib.nameValuePair "${name}.slice" (finish (sliceText definition))
            ) config.systemd.slices;
        };
      }
    )
  ]
  ++ modules;
}
