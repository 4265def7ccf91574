# The health check of miranda, and its restart play.
_: {
  nodes.miranda.imports = [
    ./common/isolation.nix
    ./common/athena.nix
  ];
}
