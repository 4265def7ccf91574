# Mistakes of one server, its name, its variables and its settings.
{
  option,
  secretText,
  time,
  remote,
}:

{
  "a secret in an open header" = {
    configuration.servers.github = remote // {
      headers.Authorization = "Bearer abc";
    };
    says = "${option "servers.github.headers.Authorization"}is not of type `text that may stand in the world-readable store";
  };
  "a secret in the settings" = {
    configuration.servers.github = remote // {
      settings.oauth.clientSecret = "abc";
    };
    says = "${option "servers.github.settings.oauth.clientSecret"}is not of type `text that may stand in the world-readable store";
  };
  "a reserved name" = {
    configuration.servers.docs = time;
    says = "${option "servers.docs"}is not of type `server, whose name is no path of the gateway itself";
  };
  "a name with the meaning of a path" = {
    configuration.servers.".well-known" = time;
    says = "is not of type `server, whose name is no path of the gateway itself";
  };
  "a credential with a bad name" = {
    configuration.credentials."a:b" = "/run/secrets/a";
    says = "is not of type `${secretText}, by a name of letters, digits";
  };
  "a server that is neither" = {
    configuration.servers.time = { };
    says = "${option "servers.time.url"}is not of type `http or https address (not the gateway's own), unless command, package, npx, uvx says what this machine runs";
  };
  "a server that is both" = {
    configuration.servers.time = time // remote;
    says = "${option "servers.time.url"}is not of type `http or https address";
  };
  "a header for a local server" = {
    configuration.servers.time = time // {
      headers.X-A = "b";
    };
    says = "${option "servers.time.headers"}is not of type `attribute set of";
  };
  "a variable for a remote server" = {
    configuration.servers.github = remote // {
      secrets.TOKEN = "/run/secrets/token";
    };
    says = "${option "servers.github.secrets"}is not of type `attribute set of";
  };
  "the network for a remote server" = {
    configuration.servers.github = remote // {
      network = true;
    };
    says = "${option "servers.github.network"}is not of type `boolean or";
  };
  "a server that is fetched and not" = {
    configuration.servers.time = remote // {
      uvx = "mcp-server-time@1.0";
    };
    says = "${option "servers.time.url"}is not of type `http or https address";
  };
  "fewer instances than the gateway asks for" = {
    configuration.servers.time = time // {
      maxConnections = 16;
    };
    says = "${option "servers.time.maxConnections"}is not of type `null or";
  };
  "a way around the unit" = {
    configuration.servers.time = time // {
      settings.command = "/bin/sh";
    };
    says = "${option "servers.time.settings.command"}is not of type `key without an option of its own";
  };
  "a variable that is secret and not" = {
    configuration.servers.time = time // {
      env.A = "1";
      secrets.A = "/run/secrets/a";
    };
    says = "${option "servers.time.secrets"}is not of type `attribute set of";
  };
  "a secret that is text and file" = {
    configuration.servers.time = time // {
      secrets.A = "/run/secrets/a";
      secretFiles.A = "/run/secrets/b";
    };
    says = "${option "servers.time.secretFiles"}is not of type `attribute set of";
  };
  "a variable with a bad name" = {
    configuration.servers.time = time // {
      secrets."A-B" = "/run/secrets/a";
    };
    says = "${option "servers.time.secrets"}is not of type `attribute set of";
  };
  "a setting that has an option" = {
    configuration.settings.tls.key = "/srv/tls/a-key.pem";
    says = "${option "settings.tls"}is not of type `key without an option of its own beside `settings`";
  };
  "a server at the gateway's own port" = {
    configuration = {
      port = 25530;
      servers.grafana.url = "http://localhost:25530/mcp";
    };
    says = "${option "servers.grafana.url"}is not of type `http or https address (not the gateway's own)";
  };
  "an option's key in the settings" = {
    configuration.settings.mcpServers.time.command = "/bin/sh";
    says = "${option "settings.mcpServers"}is not of type `key without an option of its own";
  };
}
