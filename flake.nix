{
  description = "mcpo: many MCP servers behind one HTTP port, as a NixOS appliance";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-26.05";

  outputs =
    { self, nixpkgs }:
    let
      inherit (nixpkgs) lib;
      systems = [
        "x86_64-linux"
        "aarch64-linux"
      ];
      eachSystem = build: lib.genAttrs systems (system: build nixpkgs.legacyPackages.${system});
    in
    {
      packages = eachSystem (
        pkgs:
        rec {
          default = mcpo;
          mcpo = pkgs.callPackage ./nix/wrapped.nix { inherit mcpo-gateway; };
          mcpo-gateway = pkgs.callPackage ./nix/package.nix {
            virtualMachineTests = import ./nix/tests { inherit lib pkgs self; };
          };
          local-gateway = pkgs.callPackage ./nix/local-gateway.nix { inherit mcpo; };
          # Container images: `nix build .#image && podman load < result`.
          image = pkgs.callPackage ./nix/image.nix { inherit mcpo-gateway; };
          image-bare = pkgs.callPackage ./nix/image.nix {
            inherit mcpo-gateway;
            runtimes = false;
          };
        }
        // lib.optionalAttrs (pkgs.stdenv.hostPlatform.system == "x86_64-linux") {
          # Both parts of an image of the whole host: `incus image import result/metadata/*.tar.xz result/squashfs/*.squashfs`.
          miranda-incus = pkgs.linkFarm "mcpo-miranda-incus" {
            inherit (self.nixosConfigurations.miranda.config.system.build) metadata squashfs;
          };
        }
      );

      apps = eachSystem (pkgs: rec {
        default = local-gateway;
        local-gateway = {
          type = "app";
          program = lib.getExe self.packages.${pkgs.stdenv.hostPlatform.system}.local-gateway;
          meta.description = "The gateway on the loopback; without arguments with the servers time and context7";
        };
      });

      overlays.default = import ./nix/overlay.nix;

      nixosModules.default = ./nix/module.nix;
      nixosModules.mcpo-gateway = self.nixosModules.default;
      nixosModules.mcpo-alias = ./nix/module/alias.nix;

      homeModules.default = ./nix/home-manager.nix;

      nixosConfigurations.miranda = nixpkgs.lib.nixosSystem {
        system = "x86_64-linux";
        modules = [
          self.nixosModules.default
          ./nix/hosts/miranda.nix
        ];
      };

      devShells = eachSystem (pkgs: {
        default = pkgs.callPackage ./nix/devshell.nix { };
      });

      formatter = eachSystem (pkgs: pkgs.nixfmt-tree);

      checks = eachSystem (pkgs: import ./nix/checks.nix { inherit self pkgs lib; });
    };
}
