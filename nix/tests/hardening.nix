# The units deny what they say they deny.
_: {
  nodes.miranda.imports = [
    ./common/isolation.nix
    ./common/athena.nix
  ];
}
