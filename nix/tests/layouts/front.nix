# nginx in front of a gateway, and a caller on another machine.
let
  standIn = import ../common/stand-in.nix;
in
{
  prelude = ./front.py;
  nodes = {
    machine = {
      imports = [
        (standIn.open "rommie" 8080)
        (standIn.open "korax" 22021)
      ];
      networking.firewall.allowedTCPPorts = [ 80 ];
      services.mcpo-gateway = {
        enable = true;
        apiKeys.caller.file = "/run/secrets/caller";
        nginx.virtualHost = "machine.incus";
        servers.rommie.url = "http://127.0.0.1:8080/mcp";
        servers.korax.url = "http://127.0.0.1:22021/mcp";
      };
    };
    caller = { };
  };
}
