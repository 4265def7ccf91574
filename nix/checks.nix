# What `nix flake check` builds: the packages, the example host, formatting, the lints, and the VM tests.
{
  lib,
  pkgs,
  self,
}:

let
  packages = self.packages.${pkgs.stdenv.hostPlatform.system};
  virtualMachineTests = import ./tests { inherit lib pkgs self; };
in
virtualMachineTests
// {
  package = packages.mcpo;
  inherit (packages) local-gateway;

  clippy = packages.mcpo-gateway.overrideAttrs (old: {
    pname = "${old.pname}-clippy";
    nativeBuildInputs = old.nativeBuildInputs ++ [ pkgs.clippy ];
    buildPhase = "cargo clippy --offline --lib --bins -- -D warnings";
    doCheck = false;
    installPhase = "touch $out";
  });

  formatting =
    pkgs.runCommand "mcpo-nix-formatting"
      {
        nativeBuildInputs = [
          pkgs.nixfmt
          pkgs.deadnix
        ];
      }
      ''
        find ${./.} ${../flake.nix} -name '*.nix' -exec nixfmt --check {} +
        deadnix --fail ${./.}
        touch $out
      '';
}
// lib.optionalAttrs (pkgs.stdenv.hostPlatform.system == "x86_64-linux") {
  miranda = self.nixosConfigurations.miranda.config.system.build.toplevel;
}
