# The MCP servers that run in containers on miranda, by the container: the server's name at the gateway, its port on the
# loopback, its syslog port and the job that its log has in Loki. The tags are placeholders of this example: pin digests.
{
  neo4j-cypher = {
    server = "neo4j-cypher";
    job = "neo4j-cypher";
    image = "mcp/neo4j-cypher:latest";
    port = 25531;
    syslog = 51431;
    environment = {
      NEO4J_URI = "bolt://ariel.incus:7687";
      NEO4J_TRANSPORT = "http";
      NEO4J_MCP_SERVER_HOST = "0.0.0.0";
    };
  };
  neo4j-memory = {
    server = "neo4j-memory";
    job = "neo4j-memory";
    image = "mcp/neo4j-memory:latest";
    port = 25532;
    syslog = 51432;
    environment = {
      NEO4J_URL = "bolt://ariel.incus:7687";
      NEO4J_TRANSPORT = "http";
      NEO4J_MCP_SERVER_HOST = "0.0.0.0";
    };
  };
  grafana-mcp = {
    server = "grafana";
    job = "grafana_mcp";
    image = "mcp/grafana:latest";
    port = 25533;
    syslog = 51433;
    environment.GRAFANA_URL = "http://prospero.incus:3000";
    cmd = [
      "-t"
      "streamable-http"
      "--address"
      "0.0.0.0:8000"
    ];
  };
  argos = {
    server = "argos-searxng";
    job = "argos";
    # Private: a SearXNG front of this site.
    image = "registry.incus/argos-searxng:latest";
    port = 25534;
    syslog = 51434;
    # Also reached as miranda.incus, so not on the loopback alone.
    address = "0.0.0.0";
  };
  gitea-mcp = {
    server = "gitea";
    job = "gitea-mcp";
    image = "docker.gitea.com/gitea-mcp-server:latest";
    port = 25535;
    syslog = 51435;
    cmd = [
      "/app/gitea-mcp"
      "-t"
      "http"
      "--port"
      "8000"
    ];
  };
}
