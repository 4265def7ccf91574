# The VM tests: one behaviour a file. A test's script is a Python file beside it, which tests/appliance runs too, on
# machines that boot the same units without a VM.
{
  lib,
  pkgs,
  self,
}:

let
  isTest = file: kind: kind == "regular" && lib.hasSuffix ".nix" file && file != "default.nix";
  test =
    file:
    let
      name = lib.removeSuffix ".nix" file;
      definition = import (./. + "/${file}") { inherit lib; };
    in
    lib.nameValuePair "vm-${name}" (
      pkgs.testers.runNixOSTest (
        {
          inherit name;
          testScript = builtins.readFile (./. + "/${name}.py");
        }
        // definition
        // {
          defaults = {
            imports = [ self.nixosModules.default ];
          };
        }
      )
    );
in
lib.mapAttrs' (file: _: test file) (lib.filterAttrs isTest (builtins.readDir ./.))
