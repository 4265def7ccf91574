# A certificate of `security.acme`: the gateway may read it, waits for it, and is reloaded when it was renewed.
{ config, lib, ... }:

let
  cfg = config.services.mcpo;
  host = cfg.tls.useACMEHost;
  unit = "acme-${host}.service";
in
{
  config = lib.mkIf (cfg.enable && host != null) {
    security.acme.certs.${host}.reloadServices = [ "mcpo.service" ];
    systemd.services.mcpo = {
      wants = [ unit ];
      after = [ unit ];
      serviceConfig.SupplementaryGroups = [ config.security.acme.certs.${host}.group ];
    };
  };
}
