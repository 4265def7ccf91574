# The site: miranda with its thirteen servers, the hosts that they live on, and a stand-in for the internet.
let
  standIn = import ../common/stand-in.nix;
in
{
  prelude = ./ouranos.py;
  nodes = {
    miranda.imports = [
      ../../hosts/miranda/gateway.nix
      ../../hosts/miranda/servers.nix
      standIn.trust
      # In the place of its containers.
      (standIn.open "neo4j-cypher" 25531)
      (standIn.open "neo4j-memory" 25532)
      (standIn.open "grafana" 25533)
      (standIn.open "argos-searxng" 25534)
      (standIn.open "gitea" 25535)
    ];
    puck.imports = [ (standIn.guarded "athena" 22461 "/run/secrets/athena-mcp") ];
    caliban.imports = [
      (standIn.open "rommie" 8080)
      (standIn.open "caliban" 22021)
    ];
    korax.imports = [ (standIn.open "korax" 22021) ];
    ariel.imports = [ (standIn.open "neo4j" 7687) ];
    prospero.imports = [
      ../../hosts/prospero-scrape.nix
      {
        services.mcpo-gateway.prometheusRules.enable = true;
        services.prometheus = {
          enable = true;
          globalConfig.scrape_interval = "1s";
          globalConfig.evaluation_interval = "1s";
        };
      }
    ];
    internet.imports = [
      (standIn.internet {
        github = "/run/secrets/github-personal-access-token";
        huggingface = "/run/secrets/huggingface-mcp-token";
      })
    ];
  };
}
