# The thirteen servers of miranda: two that run here, five in containers here, six elsewhere.
{ lib, pkgs, ... }:

let
  # A container that listens for the site is called by the site's name.
  container =
    _: container:
    lib.nameValuePair container.server {
      url = "http://${
        if container ? address then "miranda.incus" else "localhost"
      }:${toString container.port}/mcp";
    };
  remote = url: { inherit url; };
  bearer = file: {
    prefix = "Bearer ";
    inherit file;
  };
in
{
  services.mcpo-gateway.servers = lib.mapAttrs' container (import ./table.nix) // {
    time = {
      package = pkgs.mcp-server-time;
      args = [ "--local-timezone=America/Toronto" ];
    };
    upstash-context7 = {
      package = pkgs.context7-mcp;
      # It asks context7.com.
      network = true;
    };

    athena = remote "http://puck.incus:22461/mcp" // {
      headers.Authorization = bearer "/run/secrets/athena-mcp";
    };
    github = remote "https://api.githubcopilot.com/mcp/" // {
      headers.Authorization = bearer "/run/secrets/github-personal-access-token";
    };
    huggingface = remote "https://huggingface.co/mcp" // {
      headers.Authorization = bearer "/run/secrets/huggingface-mcp-token";
    };
    rommie = remote "http://caliban.incus:8080/mcp";
    caliban = remote "http://caliban.incus:22021/mcp";
    korax = remote "http://korax.helu.ca:22021/mcp";
  };
}
