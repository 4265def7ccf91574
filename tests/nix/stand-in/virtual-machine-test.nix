# A VM test that only holds together: every node is evaluated, its assertions included, and nothing is run.
{
  lib,
  pkgs,
  test,
}:

let
  evaluate = import ./nixos.nix;
  nodes = builtins.mapAttrs (
    name: node:
    (evaluate {
      inherit pkgs;
      specialArgs = { inherit nodes; };
      modules = [
        node
        test.defaults
        {
          networking.hostName = name;
          system.stateVersion = "26.05";
        }
      ];
    }).config
  ) test.nodes;
in
pkgs.writeText "vm-test-${test.name}" (
  builtins.toJSON {
    inherit (test) name testScript;
    nodes = lib.mapAttrsToList (_: node: node.system.build.toplevel.outPath) nodes;
  }
)
