# Three replicas of a gateway, the balancer with their Redis, and the host of the server that has state.
let
  hosts = import ../../hosts/replicas.nix;
  # One more key, whose rate is to hold over all of them.
  limited.services.mcpo-gateway.apiKeys.limited = {
    file = "/run/secrets/limited";
    rate = "3/h";
  };
  replica = host: {
    imports = [
      host
      limited
    ];
  };
in
{
  prelude = ./replicas.py;
  nodes = {
    one = replica hosts.one;
    two = replica hosts.two;
    three = replica hosts.three;
    inherit (hosts) balancer stateful;
  };
}
