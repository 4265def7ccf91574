# Mistakes in how the gateway signs in to a server.
{
  option,
  secretText,
  time,
  remote,
}:

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
    says = "${option "servers.github.settings.oauth.privateKey"}is not of type `text that may stand";
  };
  "an assertion in the settings" = {
    configuration.servers.github = remote // {
      settings.oauth = {
        grant = "jwt_bearer";
        assertion = "eyJhbGciOiJFUzI1NiJ9";
      };
    };
    says = "${option "servers.github.settings.oauth.assertion"}is not of type `text that may stand";
  };
  "OAuth for a local server" = {
    configuration.servers.time = time // {
      oauth = machine;
    };
    says = "${option "servers.time.oauth"}is not of type `null or submodule, in place of `settings.oauth` and of a header `Authorization`, of a remote server";
  };
  "two proofs of one client" = {
    configuration.servers.github = remote // {
      oauth = machine // {
        privateKey.file = "/run/secrets/key.pem";
      };
    };
    says = "${option "servers.github.oauth.privateKey.file"}is not of type `${secretText}, with the grant";
  };
  "a machine that proves nothing" = {
    configuration.servers.github = remote // {
      oauth.grant = "client_credentials";
    };
    says = "${option "servers.github.oauth.privateKey.file"}is not of type `${secretText}, with the grant";
  };
  "a private key for a sign-in of people" = {
    configuration = {
      publicUrl = "https://mcp.example.org";
      servers.github = remote // {
        oauth.privateKey.file = "/run/secrets/key.pem";
      };
    };
    says = "${option "servers.github.oauth.privateKey.file"}is not of type `${secretText}, with the grant";
  };
  "a secret without the name of its client" = {
    configuration = {
      publicUrl = "https://mcp.example.org";
      servers.github = remote // {
        oauth.clientSecret.file = "/run/secrets/secret";
      };
    };
    says = "${option "servers.github.oauth.clientId"}is not of type `text, or null without clientSecret";
  };
  "a sign-in that cannot come back" = {
    configuration.servers.github = remote // {
      oauth = { };
    };
    says = "${option "servers.github.oauth.grant"}is not of type ``client_credentials`, or `authorization_code`, which needs an address to come back to (services.mcpo-gateway.publicUrl)";
  };
  "a token beside OAuth" = {
    configuration.servers.github = remote // {
      oauth = machine;
      headers.authorization.file = "/run/secrets/github";
    };
    says = "${option "servers.github.oauth"}is not of type `null or submodule, in place of `settings.oauth` and of a header `Authorization`";
  };
}
