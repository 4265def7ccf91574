# In containers of Incus and LXC a generator of systemd writes a drop-in that takes credentials and isolation from every
# service, since it cannot know whether the container may nest. Where it may, the units of the gateway are left alone:
# a drop-in of one unit comes in the place of the one for all units that has its name.
{
  config,
  lib,
  pkgs,
  ...
}:

let
  cfg = config.services.mcpo-gateway;
  names = import ./names.nix { inherit lib; };

  units = [
    "mcpo.service"
  ]
  ++ map (server: "${names.unit server}@.service") (
    builtins.attrNames (lib.filterAttrs (_: names.isLocal) cfg.servers)
  );
in
{
  config = lib.mkIf (cfg.enable && cfg.nestedContainer) {
    systemd.packages = map (
      unit:
      pkgs.writeTextDir "etc/systemd/system/${unit}.d/zzz-lxc-service.conf" "# services.mcpo-gateway.nestedContainer\n"
    ) units;
  };
}
