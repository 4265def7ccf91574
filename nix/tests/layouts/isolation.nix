# One machine: a gateway with two local servers and a remote one, each with a secret of its own.
let
  standIn = import ../common/stand-in.nix;
in
{
  prelude = ./isolation.py;
  nodes.miranda.imports = [
    ../common/two-servers.nix
    # For what a test runs in the place of a server.
    ({ pkgs, ... }: { environment.systemPackages = [ pkgs.python3 ]; })
    (standIn.guarded "athena" 22461 "/run/secrets/athena")
  ];
}
