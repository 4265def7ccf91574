# Mistakes that the types of the options refuse, with what nix says of each.
{
  option,
  secretText,
  time,
  remote,
}:

let
  secret = name: "${option name}is not of type `${secretText}";
  inStore = "/nix/store/00000000000000000000000000000000-secret";
in
{
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
  # Of what assertions refuse, one as a whole system meets it.
  "names that become one unit in a system" = {
    configuration.servers = {
      "my server" = time;
      "my/server" = time;
    };
    says = "Failed assertion: services.mcpo-gateway.servers.\"my server\" and services.mcpo-gateway.servers.\"my/server\" would both be `mcpo-server-my-server`";
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
    says = secret "tls.key";
  };
  "a key of sessions in the store" = {
    configuration.sessionKeyFile = inStore;
    says = "services.mcpo-gateway.sessionKeyFile' is not of type";
  };
  "an address of a replica with a path" = {
    configuration.replica.url = "http://one.example.org/mcp";
    says = "services.mcpo-gateway.replica.url' is not of type";
  };
  "no address in a list" = {
    configuration.servers.several.url = [ ];
    says = "services.mcpo-gateway.servers.several.url' is not of type";
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
  "a rate twice" = {
    configuration.servers.time = time // {
      rate = "5/s";
      settings.rate = "6/s";
    };
    says = "${option "servers.time.settings.rate"}is not of type `key without an option of its own";
  };
  "a profile that there is not" = {
    configuration = {
      apiKeys.me = {
        file = "/run/secrets/me";
        profile = "smal";
      };
      profiles.small = { };
    };
    says = "${option "apiKeys.me.profile"}is not of type `null or name of one of `profiles`";
  };
  "a certificate without its key" = {
    configuration.tls.certificate = "/srv/tls/a.pem";
    says = "${option "tls.key"}is not of type `${secretText}, beside `certificate` and not without";
  };
  "a key without its certificate" = {
    configuration.tls.key = "/srv/tls/a-key.pem";
    says = "${option "tls.key"}is not of type `${secretText}, beside `certificate` and not without";
  };
  "two certificates" = {
    configuration.tls = {
      certificate = "/srv/tls/a.pem";
      key = "/srv/tls/a-key.pem";
      useACMEHost = "mcp.example.org";
    };
    says = "${option "tls.useACMEHost"}is not of type `null or string, in place of `certificate` and `key`";
  };
  "a lock that the build has not" = {
    configuration.lock.file = "/etc/mcpo/tools.lock";
    says = "${option "lock.file"}is not of type `null or file beside this configuration";
  };
  "a quarantine without a lock" = {
    configuration.lock.drift = "quarantine";
    says = "${option "lock.drift"}is not of type";
  };
  "digests without an audit trail" = {
    configuration.audit.arguments = "digest";
    says = "${option "audit.arguments"}is not of type";
  };
  "a key for digests that there are not" = {
    configuration.audit = {
      to = "journal";
      secret.file = "/run/secrets/audit";
    };
    says = "${option "audit.secret.file"}is not of type";
  };
}
