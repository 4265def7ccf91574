# Secrets are where they belong and nowhere else.
_: {
  nodes.miranda.imports = [
    ./common/isolation.nix
    ./common/athena.nix
  ];
}
