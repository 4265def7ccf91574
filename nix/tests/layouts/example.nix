# The README's configuration, and a stand-in for the internet.
let
  standIn = import ../common/stand-in.nix;
in
{
  prelude = ./example.py;
  nodes = {
    machine.imports = [
      ../../example.nix
      standIn.trust
    ];
    internet.imports = [ (standIn.internet { github = "/run/secrets/github"; }) ];
  };
}
