# A machine without the module, whose user has what `nix run` starts.
{
  prelude = ./local.py;
  nodes.machine =
    { pkgs, ... }:
    {
      environment.systemPackages = [
        (pkgs.callPackage ../../local-gateway.nix { mcpo = pkgs.callPackage ../../package.nix { }; })
      ];
    };
}
