# Mistakes in how the gateway signs in to a server.
{ time, remote }:

let
  machine = {
    grant = "client_credentials";
    clientId = "mcpo";
    clientSecret.file = "/run/secrets/oauth";
  };
in
{
  "a private key in the settings" = {
    configuration.servers.github = remote // {
      settings.oauth.privateKey = "-----BEGIN PRIVATE KEY-----";
    };
    says = "services.mcpo-gateway.servers.github.settings.oauth.privateKey would stand in the world-readable store";
  };
  "an assertion in the settings" = {
    configuration.servers.github = remote // {
      settings.oauth = {
        grant = "jwt_bearer";
        assertion = "eyJhbGciOiJFUzI1NiJ9";
      };
    };
    says = "services.mcpo-gateway.servers.github.settings.oauth.assertion would stand in the world-readable store";
  };
  "a secret for OAuth with the name of a credential" = {
    configuration = {
      servers.github = remote // {
        oauth = machine;
      };
      credentials.oauth-clientSecret-github = "/run/secrets/other";
    };
    says = "services.mcpo-gateway.servers.github.oauth.clientSecret.file would both be the credential `oauth-clientSecret-github`";
  };
  "OAuth for a local server" = {
    configuration.servers.time = time // {
      oauth = machine;
    };
    says = "services.mcpo-gateway.servers.time.oauth means nothing to a server that this machine runs";
  };
  "two proofs of one client" = {
    configuration.servers.github = remote // {
      oauth = machine // {
        privateKey.file = "/run/secrets/key.pem";
      };
    };
    says = "services.mcpo-gateway.servers.github.oauth has both clientSecret.file and privateKey.file";
  };
  "a machine that proves nothing" = {
    configuration.servers.github = remote // {
      oauth.grant = "client_credentials";
    };
    says = "services.mcpo-gateway.servers.github.oauth.grant is `client_credentials`, which needs clientId";
  };
  "a private key for a sign-in of people" = {
    configuration = {
      publicUrl = "https://mcp.example.org";
      servers.github = remote // {
        oauth.privateKey.file = "/run/secrets/key.pem";
      };
    };
    says = "services.mcpo-gateway.servers.github.oauth.privateKey.file is for the grant `client_credentials` alone";
  };
  "a secret without the name of its client" = {
    configuration = {
      publicUrl = "https://mcp.example.org";
      servers.github = remote // {
        oauth.clientSecret.file = "/run/secrets/secret";
      };
    };
    says = "services.mcpo-gateway.servers.github.oauth.clientSecret.file says nothing without its clientId";
  };
  "a sign-in that cannot come back" = {
    configuration.servers.github = remote // {
      oauth = { };
    };
    says = "Set services.mcpo-gateway.publicUrl to the one that people type";
  };
  "a token beside OAuth" = {
    configuration.servers.github = remote // {
      oauth = machine;
      headers.authorization.file = "/run/secrets/github";
    };
    says = "services.mcpo-gateway.servers.github.headers.authorization stands beside oauth";
  };
}
