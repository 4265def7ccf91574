# The thirteen servers of miranda: two that run here, five in containers here, six elsewhere.
{ pkgs, ... }:

let
  # A container's port on this machine.
  container = port: { url = "http://localhost:${toString port}/mcp"; };
  remote = url: { inherit url; };
  bearer = file: {
    prefix = "Bearer ";
    inherit file;
  };
in
{
  services.mcpo.servers = {
    time = {
      package = pkgs.mcp-server-time;
      args = [ "--local-timezone=America/Toronto" ];
    };
    upstash-context7 = {
      package = pkgs.context7-mcp;
      # It asks context7.com.
      network = true;
    };

    neo4j-cypher = container 25531;
    neo4j-memory = container 25532;
    grafana = container 25533;
    gitea = container 25535;
    argos-searxng = remote "http://miranda.incus:25534/mcp";

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
