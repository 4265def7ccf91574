# The VM tests: one behaviour a file. A test's NAME.nix names its layout, and its script is the NAME.py beside it, which
# tests/appliance runs too, on machines that boot the same units without a VM.
{
  lib,
  pkgs,
  self,
}:

let
  isTest = file: kind: kind == "regular" && lib.hasSuffix ".nix" file && file != "default.nix";
  names = import ./common/names.nix;
  test =
    file:
    let
      name = lib.removeSuffix ".nix" file;
      layout = import (./. + "/${file}");
    in
    lib.nameValuePair "vm-${name}" (
      pkgs.testers.runNixOSTest {
        inherit name;
        inherit (layout) nodes;
        testScript = lib.concatMapStrings builtins.readFile [
          ./common/prelude.py
          layout.prelude
          (./. + "/${name}.py")
        ];
        defaults.imports = [
          self.nixosModules.default
          names.module
        ];
      }
    );
in
lib.mapAttrs' (file: _: test file) (lib.filterAttrs isTest (builtins.readDir ./.))
