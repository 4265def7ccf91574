# Mistakes beside the servers: rates, profiles, the address, TLS, the lock and the audit trail.
{ time }:

{
  "a rate twice" = {
    configuration.servers.time = time // {
      rate = "5/s";
      settings.rate = "6/s";
    };
    says = "services.mcpo-gateway.servers.time.rate stands in `settings` of the server, too";
  };
  "a profile that there is not" = {
    configuration = {
      apiKeys.me = {
        file = "/run/secrets/me";
        profile = "smal";
      };
      profiles.small = { };
    };
    says = "services.mcpo-gateway.apiKeys.me.profile is `smal`, but there is none of that name beside small";
  };
  "a certificate without its key" = {
    configuration.tls.certificate = "/srv/tls/a.pem";
    says = "services.mcpo-gateway.tls.certificate has no key beside it, and TLS needs both. Set services.mcpo-gateway.tls.key.";
  };
  "a key without its certificate" = {
    configuration.tls.key = "/srv/tls/a-key.pem";
    says = "Set services.mcpo-gateway.tls.certificate.";
  };
  "two certificates" = {
    configuration.tls = {
      certificate = "/srv/tls/a.pem";
      key = "/srv/tls/a-key.pem";
      useACMEHost = "mcp.example.org";
    };
    says = "services.mcpo-gateway.tls.useACMEHost stands beside a file of your own";
  };
  "a lock that the build has not" = {
    configuration.lock.file = "/etc/mcpo/tools.lock";
    says = "services.mcpo-gateway.lock.file is `/etc/mcpo/tools.lock`, a file that is not there when the system is built";
  };
  "a quarantine without a lock" = {
    configuration.lock.drift = "quarantine";
    says = "without services.mcpo-gateway.lock.file there is nothing that a tool could drift from";
  };
  "digests without an audit trail" = {
    configuration.audit.arguments = "digest";
    says = "services.mcpo-gateway.audit.arguments is set, but there is no audit trail";
  };
  "a key for digests that there are not" = {
    configuration.audit = {
      to = "journal";
      secret.file = "/run/secrets/audit";
    };
    says = "services.mcpo-gateway.audit.secret.file is the key of digests, and there are none";
  };
}
