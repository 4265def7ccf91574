# What the package is built from: the members of its source, and the packages that its tests find in PATH.
let
  lib = import ./stand-in/lib.nix;
  pkgs = import ./stand-in/packages.nix {
    inherit lib;
    system = "x86_64-linux";
  };
  package = pkgs.callPackage ../../nix/package.nix { };
  image =
    runtimes:
    let
      made = pkgs.callPackage ../../nix/image.nix {
        mcpo-gateway = package;
        inherit runtimes;
      };
    in
    {
      inherit (made) config name;
      contents = map (member: member.name) made.contents;
      files = builtins.concatMap (member: lib.optional (member ? file) member.file) made.contents;
      users = builtins.concatMap (member: member.extraPasswdLines or [ ]) made.contents;
    };
in
{
  inherit (package) meta;
  inherit (package.src) members;
  tests = builtins.attrNames package.passthru.tests;
  images = map image [
    true
    false
  ];
  inherit (package) postInstall;
  programs = map (input: input.name) package.nativeCheckInputs;
}
