# A changed configuration is reloaded: unchanged servers keep their processes, and no call is lost.
_: {
  nodes.miranda.imports = [
    ./common/isolation.nix
    ./common/athena.nix
  ];
}
