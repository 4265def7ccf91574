# Three replicas of a gateway, the balancer with their Redis, and the host of the servers that have state.
let
  hosts = import ../../hosts/replicas.nix;

  replica = host: {
    imports = [ host ];
    services.mcpo-gateway = {
      apiKeys.client.metrics = true;
      # One more key, whose rate is to hold over all of them.
      apiKeys.limited = {
        file = "/run/secrets/limited";
        rate = "3/h";
      };
      # A server that asks its users. It is asked in a session, so that the call waits in the replica.
      servers.asks = {
        url = "http://stateful.incus:25530/asks/mcp";
        settings.protocol = "2025-11-25";
        headers.Authorization = {
          prefix = "Bearer ";
          file = "/run/secrets/replicas";
        };
      };
    };
  };

  asks =
    { pkgs, ... }:
    {
      services.mcpo-gateway.servers.asks.package = pkgs.writeShellApplication {
        name = "mcpo-stand-in-asks";
        runtimeInputs = [ pkgs.python3 ];
        text = "exec python3 ${../../../tests/servers/offering_server.py} --tells";
      };
    };
in
{
  prelude = ./replicas.py;
  nodes = {
    one = replica hosts.one;
    two = replica hosts.two;
    three = replica hosts.three;
    inherit (hosts) balancer;
    stateful.imports = [
      hosts.stateful
      asks
    ];
  };
}
