# Mistakes beside the servers: rates, profiles, the address, TLS, the lock and the audit trail.
{ time }:

{
  "a rate of a key that is none" = {
    configuration.apiKeys.me = {
      file = "/run/secrets/me";
      rate = "60/year";
    };
    says = "services.mcpo.apiKeys.me.rate is `60/year`, which is no rate. Write \"60/min\"";
  };
  "no calls at all" = {
    configuration.servers.time = time // {
      rate = "0/s";
    };
    says = "services.mcpo.servers.time.rate is `0/s`, which is no rate";
  };
  "calls in no time" = {
    configuration.servers.time = time // {
      rate = {
        calls = 5;
        per = 0;
      };
    };
    says = "services.mcpo.servers.time.rate.per is 0, and no call comes in no time";
  };
  "a rate twice" = {
    configuration.servers.time = time // {
      rate = "5/s";
      settings.rate = "6/s";
    };
    says = "services.mcpo.servers.time.rate stands in `settings` of the server, too";
  };
  "a profile that there is not" = {
    configuration = {
      apiKeys.me = {
        file = "/run/secrets/me";
        profile = "smal";
      };
      profiles.small = { };
    };
    says = "services.mcpo.apiKeys.me.profile is `smal`, but there is none of that name beside small";
  };
  "a socket that the unit cannot make" = {
    configuration.host = "unix:/run/mcpo/mcpo.sock";
    says = "services.mcpo.host is `unix:/run/mcpo/mcpo.sock`, but the unit can make no socket where others may open it";
  };
  "an address that is none" = {
    configuration.publicUrl = "mcp.example.org";
    says = "services.mcpo.publicUrl is `mcp.example.org`, which is no http or https address";
  };
  "a certificate without its key" = {
    configuration.tls.certificate = "/srv/tls/a.pem";
    says = "services.mcpo.tls.certificate has no key beside it, and TLS needs both. Set services.mcpo.tls.key.";
  };
  "a key without its certificate" = {
    configuration.tls.key = "/srv/tls/a-key.pem";
    says = "Set services.mcpo.tls.certificate.";
  };
  "a key of TLS in the store" = {
    configuration.tls = {
      certificate = ./misuse.nix;
      key = ./misuse.nix;
    };
    says = "services.mcpo.tls.key is in the Nix store, or would be copied there";
  };
  "the key of TLS itself instead of its file" = {
    configuration.tls = {
      certificate = "/srv/tls/a.pem";
      key = "-----BEGIN PRIVATE KEY-----";
    };
    says = "services.mcpo.tls.key is no absolute path";
  };
  "two certificates" = {
    configuration.tls = {
      certificate = "/srv/tls/a.pem";
      key = "/srv/tls/a-key.pem";
      useACMEHost = "mcp.example.org";
    };
    says = "services.mcpo.tls.useACMEHost stands beside a file of your own";
  };
  "a lock that the build has not" = {
    configuration.lock.file = "/etc/mcpo/tools.lock";
    says = "services.mcpo.lock.file is `/etc/mcpo/tools.lock`, a file that is not there when the system is built";
  };
  "a quarantine without a lock" = {
    configuration.lock.drift = "quarantine";
    says = "without services.mcpo.lock.file there is nothing that a tool could drift from";
  };
  "an audit trail where nothing can be written" = {
    configuration.audit = {
      to = "file";
      file = "/srv/audit.jsonl";
    };
    says = "services.mcpo.audit.file is `/srv/audit.jsonl`, but the gateway can write in /var/log/mcpo alone";
  };
  "digests without an audit trail" = {
    configuration.audit.arguments = "digest";
    says = "services.mcpo.audit.arguments is set, but there is no audit trail";
  };
  "a key for digests that there are not" = {
    configuration.audit = {
      to = "journal";
      secret.file = "/run/secrets/audit";
    };
    says = "services.mcpo.audit.secret.file is the key of digests, and there are none";
  };
  "a key for digests in the store" = {
    configuration.audit = {
      to = "journal";
      arguments = "digest";
      secret.file = "/nix/store/00000000000000000000000000000000-audit";
    };
    says = "services.mcpo.audit.secret.file is in the Nix store";
  };
}
