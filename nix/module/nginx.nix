# nginx in front of the gateway: streams pass as they come, however long they last.
{ config, lib, ... }:

let
  cfg = config.services.mcpo-gateway;
  host = if cfg.host == "0.0.0.0" || cfg.host == "localhost" then "127.0.0.1" else cfg.host;
  address = if lib.hasInfix ":" host then "[${host}]" else host;
in
{
  options.services.mcpo-gateway.nginx.virtualHost = lib.mkOption {
    type = lib.types.nullOr lib.types.str;
    default = null;
    example = "mcp.example.org";
    description = ''
      Virtual host of `services.nginx` that passes everything to the gateway. Its TLS is set there (`enableACME`,
      `forceSSL`), and `publicUrl` names its address.
    '';
  };

  config = lib.mkIf (cfg.enable && cfg.nginx.virtualHost != null) {
    services.mcpo-gateway.settings.allowedHosts = [ cfg.nginx.virtualHost ];
    services.nginx = {
      enable = true;
      virtualHosts.${cfg.nginx.virtualHost}.locations."/" = {
        proxyPass = "http://${address}:${toString cfg.port}";
        extraConfig = ''
          proxy_http_version 1.1;
          proxy_set_header Connection "";
          proxy_set_header Host $host;
          # Events and progress of a call go on at once, and uploads are not kept on a disk first.
          proxy_buffering off;
          proxy_request_buffering off;
          # A stream is silent for as long as its server has nothing to say.
          proxy_read_timeout 1h;
          # The gateway has a limit of its own (limits.bodyBytes).
          client_max_body_size 0;
        '';
      };
    };
  };
}
