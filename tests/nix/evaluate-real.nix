# The same evaluation with nixpkgs' own `lib` and NixOS's own systemd module, where those are at hand: shows that the
# stand-in means what the real ones mean. `nixpkgsLib` is nixpkgs' lib/, `nixos` its nixos/; the latter may be one of
# any year, since only the systemd module of it is used, and options newer than it are added here.
{ nixpkgsLib, nixos }:
modules:
let
  modern = import nixpkgsLib;
  # Names that older NixOS modules still use.
  lib = modern // {
    replaceChars = modern.replaceStrings;
    literalExample = modern.literalExpression;
  };
  inherit (lib) mkOption types;
  standIn = import ./stand-in/packages.nix {
    inherit lib;
    system = "x86_64-linux";
  };
  pkgs = standIn // {
    inherit lib;
    formats.json = _: {
      type =
        with types;
        let
          value =
            nullOr (oneOf [
              bool
              int
              float
              str
              path
              (attrsOf value)
              (listOf value)
            ])
            // {
              description = "JSON value";
            };
        in
        value;
      generate = name: value: standIn.writeText name (builtins.toJSON value);
    };
  };
  free = mkOption {
    type = types.attrsOf types.anything;
    default = { };
  };
  recorded = {
    services.mcpo-gateway.package = lib.mkDefault (
      pkgs.coreutils
      // {
        name = "mcpo";
        outPath = "/nix/store/00000000000000000000000000000000-mcpo";
        meta.mainProgram = "mcpo";
      }
    );
  };
  newer = {
    # The systemd module of older years lacks these; so does its way to write them.
    options = {
      systemd.services = mkOption {
        type = types.attrsOf (
          types.submodule (
            { config, name, ... }:
            {
              options.reloadTriggers = mkOption {
                type = types.listOf types.unspecified;
                default = [ ];
              };
              config.unitConfig = lib.mkIf (config.reloadTriggers != [ ]) {
                X-Reload-Triggers = "${pkgs.writeText "X-Reload-Triggers-${name}" (
                  toString config.reloadTriggers
                )}";
              };
            }
          )
        );
      };
      environment = {
        etc = free;
      };
      networking = {
        domain = mkOption { type = types.str; };
        firewall.allowedTCPPorts = mkOption {
          type = types.listOf types.port;
          default = [ ];
        };
        hostName = mkOption { type = types.str; };
        useDHCP = mkOption { type = types.bool; };
      };
      security.acme.certs = free;
      security.pki.certificateFiles = mkOption {
        type = types.listOf types.str;
        default = [ ];
      };
      services.alloy.enable = lib.mkEnableOption "Alloy";
      services.grafana = free;
      services.haproxy = free;
      services.nginx = free;
      services.prometheus = free;
      services.redis.servers = free;
      systemd.tmpfiles.settings = free;
      system.build = free;
      system.stateVersion = mkOption { type = types.str; };
      users.groups = free;
      users.users = free;
      virtualisation.docker.enable = lib.mkEnableOption "Docker";
      virtualisation.oci-containers = free;
    };
    # The rest of that module is not what is looked at.
    config._module.check = false;
  };
  evaluated = lib.evalModules {
    specialArgs = {
      inherit lib pkgs;
      utils = import (nixos + "/lib/utils.nix") pkgs;
      modulesPath = toString ./stand-in/modules;
    };
    modules = [
      (nixos + "/modules/system/boot/systemd.nix")
      (nixos + "/modules/misc/assertions.nix")
      newer
      recorded
      ../../nix/module.nix
    ]
    ++ modules;
  };
in
rec {
  inherit (evaluated) options;
  config = evaluated.config // {
    # As far as what is refused shows in it.
    system.build.toplevel.outPath =
      if failed != [ ] then
        throw "Failed assertion: ${builtins.head failed}"
      else
        builtins.deepSeq units evaluated.config.environment.etc."mcpo/config.json".source.script;
  };
  failed = map (assertion: assertion.message) (
    builtins.filter (assertion: !assertion.assertion) evaluated.config.assertions
  );
  inherit (evaluated.config) warnings;
  units = builtins.mapAttrs (_: unit: unit.text) (
    lib.filterAttrs (
      name: _: lib.hasPrefix "mcpo" name || lib.hasPrefix "stand-in" name
    ) evaluated.config.systemd.units
  );
}
