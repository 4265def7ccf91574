# What the package is built from: the members of its source, and the packages that its tests find in PATH.
let
  lib = import ./stand-in/lib.nix;
  pkgs = import ./stand-in/packages.nix {
    inherit lib;
    system = "x86_64-linux";
  };
  package = pkgs.callPackage ../../nix/package.nix { };
in
{
  inherit (package.src) members;
  inherit (package) postInstall;
  programs = map (input: input.name) package.nativeCheckInputs;
}
