# TLS: two files, or a certificate of `security.acme`, which the gateway may read and waits for, and which has it reloaded
# when it was renewed.
{ config, lib, ... }:

let
  inherit (lib) mkOption types;
  inherit (import ./narrow.nix { inherit lib; }) narrow onlyWhere;
  cfg = config.services.mcpo-gateway;
  secretPath = import ./secret-path.nix { inherit lib; };
  inherit (cfg) tls;
  host = tls.useACMEHost;
  unit = "acme-${host}.service";
in
{
  options.services.mcpo-gateway = {
    tls = {
      certificate = mkOption {
        type = types.nullOr types.path;
        default = null;
        example = "/srv/tls/mcp.example.org.pem";
        description = ''
          File with the certificate chain (PEM) that the gateway speaks TLS with, itself. The gateway reads it, and
          reads it again at `systemctl reload mcpo`: new connections get the new certificate, open ones keep theirs.
        '';
      };
      key = mkOption {
        type = narrow "${secretPath.description}, beside `certificate` and not without" (
          value: (value == null) == (tls.certificate == null)
        ) (types.nullOr secretPath);
        default = null;
        example = "/srv/tls/mcp.example.org-key.pem";
        description = ''
          File with the certificate's private key (PEM). The gateway reads it itself, at each reload too, so its user
          or group must be able to (mode 0640 and group `mcpo`, in a directory that the group can enter).
        '';
      };
      useACMEHost = mkOption {
        type = onlyWhere (tls.certificate == null) "in place of `certificate` and `key`" null (
          types.nullOr types.str
        );
        default = null;
        example = "mcp.example.org";
        description = ''
          Certificate of `security.acme.certs` to use in place of two files. The gateway joins the group that may read
          it, starts after it, and is reloaded when it was renewed.
        '';
      };
    };
  };

  config = lib.mkIf (cfg.enable && host != null) {
    security.acme.certs.${host}.reloadServices = [ "mcpo.service" ];
    systemd.services.mcpo = {
      wants = [ unit ];
      after = [ unit ];
      serviceConfig.SupplementaryGroups = [ config.security.acme.certs.${host}.group ];
    };
  };
}
