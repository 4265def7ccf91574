# The gateway of miranda: where it listens, where its state is, and whose keys open what.
{
  services.mcpo-gateway = {
    enable = true;
    host = "0.0.0.0";
    port = 25530;
    openFirewall = true;
    stateDir = "/srv/mcpo";
    nestedContainer = true;

    apiKeys = {
      lobechat.file = "/run/secrets/mcpo-lobechat";
      open-webui.file = "/run/secrets/mcpo-open-webui";
      prometheus = {
        file = "/run/secrets/mcpo-prometheus";
        # It reads /metrics, and opens no server.
        servers = [ ];
        metrics = true;
      };
      operator = {
        file = "/run/secrets/mcpo-operator";
        admin = true;
      };
    };

    publicUrl = "http://miranda.incus:25530";
    settings.name = "MCP servers of miranda";
  };

  # Where operators have always looked for it.
  systemd.tmpfiles.rules = [ "L+ /srv/mcpo/config.json - - - - /etc/mcpo/config.json" ];
}
