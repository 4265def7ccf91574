{
  description = "A stand-in for nixpkgs, for machines that cannot fetch it: enough to evaluate this repository's Nix files";

  outputs =
    { self }:
    let
      lib = import ./lib.nix;
      evaluate = import ./nixos.nix;
    in
    {
      lib = lib // {
        nixosSystem =
          { system, modules }:
          evaluate {
            inherit modules;
            pkgs = self.legacyPackages.${system};
          };
      };
      legacyPackages = lib.genAttrs [
        "x86_64-linux"
        "aarch64-linux"
      ] (system: import ./packages.nix { inherit lib system; });
    };
}
