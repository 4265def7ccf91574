# What home-manager would make of nix/home-manager.nix for a gateway with one server: its options, as far as the module sets
# them, and the text of the unit in `text`, as home-manager writes it.
let
  lib = import ./stand-in/lib.nix;
  inherit (lib) mkOption types;
  pkgs = import ./stand-in/packages.nix {
    inherit lib;
    system = "x86_64-linux";
  };
  inherit
    (lib.evalModules {
      specialArgs = { inherit pkgs; };
      modules = [
        ../../nix/home-manager.nix
        {
          options.home.packages = mkOption { type = types.listOf types.package; };
          options.systemd.user.services = mkOption { type = types.anything; };
          config.services.mcpo-gateway = {
            enable = true;
            # One that does not hang on its source, since what is rendered is recorded.
            package = pkgs.openssl // {
              outPath = "/nix/store/00000000000000000000000000000000-mcpo";
            };
            path = [ pkgs.mcp-server-time ];
            settings.mcpServers.time.command = "mcp-server-time";
          };
        }
      ];
    })
    config
    ;
  line =
    name: value:
    "${name}=${if builtins.isBool value then lib.boolToString value else toString value}\n";
in
{
  inherit config;
  text = lib.concatStrings (
    lib.mapAttrsToList (
      title: section: "[${title}]\n${lib.concatStrings (lib.mapAttrsToList line section)}"
    ) config.systemd.user.services.mcpo
  );
}
