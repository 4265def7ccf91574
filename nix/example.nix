{ pkgs, ... }:
{
  services.mcpo-gateway = {
    enable = true;
    servers.time.package = pkgs.mcp-server-time;
    servers.github.url = "https://api.githubcopilot.com/mcp/";
    servers.github.headers.Authorization = {
      prefix = "Bearer ";
      file = "/run/secrets/github";
    };
  };
}
