# The options of `services.mcpo-gateway.servers.NAME.oauth`.
{ secretPath }:
{ lib, ... }:

let
  inherit (lib) mkOption types;

  text =
    example: description:
    mkOption {
      type = types.nullOr types.str;
      default = null;
      inherit example description;
    };
  secret =
    example: what:
    mkOption {
      type = types.nullOr secretPath;
      default = null;
      inherit example;
      description = ''
        File that holds ${what}. systemd reads it as root and hands it to the gateway alone. A changed
        one counts after `systemctl restart mcpo`.
      '';
    };
in
{
  options = {
    grant = mkOption {
      type = types.enum [
        "authorization_code"
        "client_credentials"
      ];
      default = "authorization_code";
      example = "client_credentials";
      description = ''
        How the gateway gets its token: somebody signs in once in a browser (`authorization_code`, which wants
        `publicUrl`), or the gateway proves by itself who it is (`client_credentials`, which wants `clientId`, and
        `clientSecret` or `privateKey`). The grant `jwt_bearer` is for `settings.oauth`, since the file of its
        `assertion` is read anew for each token, which a credential cannot be.
      '';
    };
    clientId = text "mcpo-miranda" "Name of the gateway at the authorization server; `null` has it register itself.";
    clientSecret.file = secret "/run/secrets/github-oauth" "the secret that goes with `clientId`";
    privateKey.file = secret "/run/secrets/github-oauth-key.pem" "the private key (PKCS#8, PEM) with which the gateway signs its assertions, in place of a secret";
    scopes = mkOption {
      type = types.listOf types.str;
      default = [ ];
      example = [ "repo" ];
      description = "Scopes to ask for; without any, those that the server names.";
    };
    clientMetadataUrl = text "https://mcp.example.org/oauth/client-metadata.json" "Address (https) of a document that describes the gateway, as its name at authorization servers that take one.";
    issuer = text "https://login.example.org" "Authorization server to use: the one that the server names must be this one; where it names none, this one counts.";
    pkce = mkOption {
      type = types.enum [
        "announced"
        "assume"
      ];
      default = "announced";
      example = "assume";
      description = "Whether the authorization server must announce PKCE (S256), as MCP wants it, or is assumed to have it.";
    };
  };
}
