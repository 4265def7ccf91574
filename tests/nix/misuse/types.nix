# Mistakes that the types of the options refuse, with what nix says of each.
{ time, remote }:

let
  option = name: "services.mcpo-gateway.${name}' ";
  secret =
    name:
    "${option name}is not of type `absolute path, without `:` and outside the Nix store, of a file";
  inStore = "/nix/store/00000000000000000000000000000000-secret";
in
{

  "a misspelt option" = {
    configuration.sever.time = time;
    says = "services.mcpo-gateway.sever' does not exist";
  };
  "a misspelt option of a server" = {
    configuration.servers.time = time // {
      argz = [ ];
    };
    says = "services.mcpo-gateway.servers.time.argz' does not exist";
  };
  "text for a port" = {
    configuration.port = "25530";
    says = "services.mcpo-gateway.port' is not of type";
  };
  "a name in place of an address" = {
    configuration.host = "unix:/run/mcpo/mcpo.sock";
    says = "services.mcpo-gateway.host' is not of type `IP address or localhost";
  };
  "a package of npm without its version" = {
    configuration.servers.time.npx = "@scope/server";
    says = "services.mcpo-gateway.servers.time.npx' is not of type `null or package of npm with its version";
  };
  "any version of a package of PyPI" = {
    configuration.servers.time.uvx = "mcp-server-time@latest";
    says = "services.mcpo-gateway.servers.time.uvx' is not of type";
  };
  "a limit that systemd would leave out" = {
    configuration.servers.time = time // {
      memoryMax = "lots";
    };
    says = "services.mcpo-gateway.servers.time.memoryMax' is not of type `size such as 512M";
  };
  "a network of another name" = {
    configuration.servers.time = time // {
      network = "intranet";
    };
    says = "services.mcpo-gateway.servers.time.network' is not of type";
  };
  # Of the assertions above, one as a whole system meets it.
  "a reserved name in a system" = {
    configuration.servers.docs = time;
    says = "Failed assertion: services.mcpo-gateway.servers.docs: `docs` is a path of the gateway itself";
  };
  "a rate without its time" = {
    configuration.servers.time = time // {
      rate.calls = 5;
    };
    says = "services.mcpo-gateway.servers.time.rate.per' was accessed but has no value defined";
  };
  "an unknown transport" = {
    configuration.servers.time = remote // {
      transport = "htp";
    };
    says = "services.mcpo-gateway.servers.time.transport' is not of type";
  };

  "a secret in the store" = {
    configuration.servers.time = time // {
      secrets.TOKEN = inStore;
    };
    says = secret "servers.time.secrets.TOKEN";
  };
  "a secret file in the store" = {
    configuration.servers.time = time // {
      secretFiles.KEY = inStore;
    };
    says = secret "servers.time.secretFiles.KEY";
  };
  "a secret of a header in the store" = {
    configuration.servers.github = remote // {
      headers.Authorization.file = inStore;
    };
    says = secret "servers.github.headers.Authorization.file";
  };
  "a key in the store" = {
    configuration.apiKeys.me.file = inStore;
    says = secret "apiKeys.me.file";
  };
  "the secret itself instead of its file" = {
    configuration.apiKeys.me.file = "sk-123";
    says = secret "apiKeys.me.file";
  };
  "a colon in the path of a secret" = {
    configuration.credentials.key = "/run/a:b";
    says = secret "credentials.key";
  };
  "a secret for OAuth in the store" = {
    configuration.servers.github = remote // {
      oauth = {
        grant = "client_credentials";
        clientId = "mcpo";
        clientSecret.file = inStore;
      };
    };
    says = "${option "servers.github.oauth.clientSecret.file"}is not of type `null or absolute path, without `:`";
  };
  "a key of TLS in the store" = {
    configuration.tls = {
      certificate = "/srv/tls/a.pem";
      key = inStore;
    };
    says = "${option "tls.key"}is not of type `null or absolute path, without `:`";
  };
  "a key for digests in the store" = {
    configuration.audit = {
      to = "journal";
      arguments = "digest";
      secret.file = inStore;
    };
    says = "${option "audit.secret.file"}is not of type";
  };
  "a command without its path" = {
    configuration.servers.time.command = "uvx";
    says = "${option "servers.time.command"}is not of type `null or absolute path";
  };
  "a rate that is none" = {
    configuration.apiKeys.me = {
      file = "/run/secrets/me";
      rate = "60/year";
    };
    says = "${option "apiKeys.me.rate"}is not of type `null or rate such as 60/min (or /s, /h, /day) or";
  };
  "no calls at all" = {
    configuration.servers.time = time // {
      rate = "0/s";
    };
    says = "${option "servers.time.rate"}is not of type `null or rate such as 60/min";
  };
  "calls in no time" = {
    configuration.servers.time = time // {
      rate = {
        calls = 5;
        per = 0;
      };
    };
    says = "${option "servers.time.rate.per"}is not of type `positive";
  };
  "an address that is none" = {
    configuration.publicUrl = "mcp.example.org";
    says = "${option "publicUrl"}is not of type `null or http or https address";
  };
  "an audit trail where nothing can be written" = {
    configuration.audit = {
      to = "file";
      file = "/srv/audit.jsonl";
    };
    says = "${option "audit.file"}is not of type `path in /var/log/mcpo";
  };
  "a directory of many" = {
    configuration.stateDir = "/srv";
    says = "${option "stateDir"}is not of type `directory of the gateway alone";
  };
  "the directory of all state" = {
    configuration.stateDir = "/var/lib/";
    says = "${option "stateDir"}is not of type `directory of the gateway alone";
  };
  "a home" = {
    configuration.stateDir = "/home/me/mcpo";
    says = "${option "stateDir"}is not of type `directory of the gateway alone";
  };
  "text for a time" = {
    configuration.settings.limits.drain = "20";
    says = "${option "settings.limits.drain"}is not of type";
  };
}
