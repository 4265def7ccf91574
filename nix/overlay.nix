# nixpkgs has a package `mcpo`, the Python gateway of that name. An overlay that replaced it would change what
# other people's configurations mean without a word, so ours is `mcpo-gateway`.
final: _previous: {
  mcpo-gateway = final.callPackage ./package.nix { };
}
