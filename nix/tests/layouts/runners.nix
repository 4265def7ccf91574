# One machine whose servers are fetched: registries of npm and PyPI on its loopback, and a server out of each.
let
  standIn = import ../common/stand-in.nix;
  registry = "http://127.0.0.1:4873";
in
{
  prelude = ./runners.py;
  nodes.machine = {
    imports = [ (standIn.registry 4873) ];
    services.mcpo-gateway = {
      enable = true;
      servers.node = {
        npx = "mcpo-test-server@1.0.0";
        env.npm_config_registry = registry;
      };
      servers.python = {
        uvx = "mcpo-test-server@1.0.0";
        env.UV_DEFAULT_INDEX = "${registry}/simple";
      };
    };
  };
}
