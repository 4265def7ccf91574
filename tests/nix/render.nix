# What is recorded in tests/appliance/units: for each node of each layout of the VM tests the units of the gateway, of
# its servers and of the stand-ins, its configuration file, the directories that it expects, the names that it is
# known by, what its Prometheus reads, and the store paths to put programs at.
let
  evaluate = import ./evaluate.nix;
  lib = import ./stand-in/lib.nix;
  inherit (import ../../nix/tests/common/names.nix) namesOf;
  system.system.stateVersion = "26.05";

  # Triggers tell a switch what to do; their text hangs on how a store path is computed, and systemd skips them.
  isTrigger =
    line: lib.hasPrefix "X-Restart-Triggers=" line || lib.hasPrefix "X-Reload-Triggers=" line;
  lines =
    text: builtins.filter (line: builtins.isString line && line != "") (builtins.split "\n" text);
  joined = lib.concatMapStrings (line: "${line}\n");
  recorded = text: joined (builtins.filter (line: !isTrigger line) (lines text));

  ours =
    name: _:
    builtins.any (prefix: lib.hasPrefix prefix name) [
      "mcpo"
      "stand-in"
      "system-mcpo"
    ];
  # What the units of this configuration name in the store.
  storePaths =
    text:
    map (match: builtins.head match) (
      builtins.filter builtins.isList (builtins.split "(/nix/store/[0-9a-z]{32}-[^/\": \n]+)" text)
    );

  evaluated =
    modules:
    let
      result = evaluate (modules ++ [ system ]);
    in
    if result.failed != [ ] then throw (builtins.concatStringsSep "\n" result.failed) else result;
  unitsOf =
    result:
    builtins.mapAttrs (_: recorded) (lib.filterAttrs ours result.units)
    // dropInsOf result.config.systemd.packages;

  # Drop-ins that come with packages, named UNIT+FILE, since a folder of units is flat.
  dropInsOf =
    packages:
    builtins.listToAttrs (
      map (
        package:
        lib.nameValuePair (builtins.replaceStrings [ "etc/systemd/system/" ".d/" ] [ "" "+" ]
          package.file.path
        ) package.file.text
      ) packages
    );

  # What the module of NixOS makes of the options that the gateway's sets.
  virtualHost =
    name: host:
    "server {\nlisten 0.0.0.0:80;\nserver_name ${name};\n${
      lib.concatStrings (
        lib.mapAttrsToList (
          path: location: "location ${path} {\nproxy_pass ${location.proxyPass};\n${location.extraConfig}}\n"
        ) host.locations
      )
    }}";

  node =
    name: module:
    let
      result = evaluated [ module ];
      inherit (result.config.services)
        haproxy
        mcpo-gateway
        nginx
        prometheus
        redis
        ;
      units = unitsOf result;
      # Programs of the machine's users, which are scripts, and what they were built with.
      packages = builtins.filter (package: package ? text) result.config.environment.systemPackages;
      programs = builtins.listToAttrs (
        map (package: lib.nameValuePair "${package.name}.program" package.text) packages
        ++ map (
          package: lib.nameValuePair package.configuration.name "${package.configuration.text}\n"
        ) packages
      );
      texts =
        builtins.attrValues units
        ++ builtins.attrValues programs
        ++ result.config.security.pki.certificateFiles;
      unique = lib.genAttrs (builtins.concatMap storePaths texts) (_: null);
    in
    units
    // programs
    // {
      names = joined (namesOf name);
      "store-paths" = joined (builtins.attrNames unique);
    }
    // lib.optionalAttrs mcpo-gateway.enable {
      "config.json" = builtins.toJSON mcpo-gateway.configData + "\n";
      # Those of the gateway's own module, and of the host.
      "tmpfiles.conf" = joined (
        result.config.systemd.tmpfiles.rules
        ++ builtins.concatLists (
          lib.mapAttrsToList (
            path: types:
            lib.mapAttrsToList (type: rule: "${type} ${path} ${rule.mode} ${rule.user} ${rule.group} -") types
          ) (result.config.systemd.tmpfiles.settings.mcpo or { })
        )
      );
    }
    // lib.optionalAttrs haproxy.enable {
      "haproxy.cfg" = haproxy.config;
      "haproxy.env" = joined (
        lib.mapAttrsToList (
          name: value: "${name}=${value}"
        ) result.config.systemd.services.haproxy.environment
      );
    }
    // lib.optionalAttrs (redis.servers ? mcpo) {
      # The password is put behind it.
      "redis.conf" = joined [
        "port ${toString redis.servers.mcpo.port}"
        "save \"\""
      ];
    }
    // lib.optionalAttrs nginx.enable {
      "nginx.conf" = joined (lib.mapAttrsToList virtualHost nginx.virtualHosts);
    }
    // lib.optionalAttrs prometheus.enable {
      "prometheus.json" =
        builtins.toJSON {
          global = prometheus.globalConfig;
          # Files of the repository, which are put there.
          rule_files = map (file: "/etc/${baseNameOf file}") prometheus.ruleFiles;
          scrape_configs = prometheus.scrapeConfigs;
        }
        + "\n";
    };

  definitions = import ../../nix/tests/layouts;
  layouts = builtins.mapAttrs (_: layout: builtins.mapAttrs node layout.nodes) definitions // {
    # For a systemd that has more than Debian 12's.
    newer = builtins.mapAttrs (
      name: module:
      node name {
        imports = [ module ];
        systemd.package.version = "257";
      }
    ) definitions.isolation.nodes;
  };

  # The host as it is deployed has the units of the gateway and its servers that the layout's miranda has.
  ofGateway = lib.filterAttrs (name: _: lib.hasInfix "mcpo" name);
  deployed = ofGateway (unitsOf (evaluated [ ../../nix/hosts/miranda.nix ]));

  # A gateway of one user, as home-manager has it.
  home = import ./home.nix;
  ofUser = {
    "mcpo.service" = home.text;
    "config.json" = builtins.toJSON home.config.services.mcpo-gateway.settings + "\n";
    "store-paths" = joined (storePaths home.text);
  };
in
if deployed == ofGateway layouts.ouranos.miranda then
  layouts // { home.user = ofUser; }
else
  throw "nix/hosts/miranda.nix gives other units than the miranda of the VM tests"
