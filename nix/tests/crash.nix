# A server that is killed comes back, and no other server notices.
_: {
  nodes.miranda.imports = [
    ./common/isolation.nix
    ./common/athena.nix
  ];
}
