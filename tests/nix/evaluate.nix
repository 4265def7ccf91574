# Evaluates the module over the stand-in for nixpkgs.
#
# Gives a function from a list of modules to what NixOS would make of them: the text of the units, the configuration,
# the warnings, and the messages of the assertions that failed.
let
  lib = import ./stand-in/lib.nix;
  pkgs = import ./stand-in/packages.nix {
    inherit lib;
    system = "x86_64-linux";
  };
  evaluate = import ./stand-in/nixos.nix;

  # The gateway's own path must not hang on its source, since what is rendered is recorded.
  recorded = {
    services.mcpo-gateway.package = lib.mkDefault {
      type = "derivation";
      name = "mcpo";
      outPath = "/nix/store/00000000000000000000000000000000-mcpo";
      meta.mainProgram = "mcpo";
    };
  };
in
modules:
let
  inherit
    (evaluate {
      inherit pkgs;
      modules = [
        ../../nix/module.nix
        recorded
      ]
      ++ modules;
    })
    config
    options
    ;
in
{
  inherit config options pkgs;
  failed = map (assertion: assertion.message) (
    builtins.filter (assertion: !assertion.assertion) config.assertions
  );
  inherit (config) warnings;
  units = builtins.mapAttrs (_: unit: unit.text) config.systemd.units;
}
