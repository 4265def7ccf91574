# A VM test that only holds together: every node is evaluated when the packages' stand-in knows what it names.
{ pkgs, test, ... }:
pkgs.writeText "vm-test-${test.name}" (
  builtins.toJSON {
    inherit (test) name testScript;
    nodes = builtins.attrNames test.nodes;
  }
)
