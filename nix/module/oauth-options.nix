# The options of `services.mcpo-gateway.servers.NAME.oauth`.
{ gateway }:
{ config, lib, ... }:

let
  inherit (lib) mkOption types;
  inherit (import ./narrow.nix { inherit lib; }) narrow;
  secretPath = import ./secret-path.nix { inherit lib; };
  machine = config.grant == "client_credentials";
  secret = config.clientSecret.file != null;

  text =
    example: description:
    mkOption {
      type = types.nullOr types.str;
      default = null;
      inherit example description;
    };
  secretFile =
    type: example: what:
    mkOption {
      inherit type example;
      default = null;
      description = ''
        File that holds ${what}. systemd reads it as root and hands it to the gateway alone. A changed
        one counts after `systemctl restart mcpo`.
      '';
    };
in
{
  options = {
    grant = mkOption {
      type =
        narrow
          "`client_credentials`, or `authorization_code`, which needs an address to come back to (services.mcpo-gateway.publicUrl)"
          (grant: grant == "client_credentials" || gateway.publicUrl != null)
          (
            types.enum [
              "authorization_code"
              "client_credentials"
            ]
          );
      default = "authorization_code";
      example = "client_credentials";
      description = ''
        How the gateway gets its token: somebody signs in once in a browser (`authorization_code`, which wants
        `publicUrl`), or the gateway proves by itself who it is (`client_credentials`, which wants `clientId`, and
        `clientSecret` or `privateKey`). The grant `jwt_bearer` is for `settings.oauth`, since the file of its
        `assertion` is read anew for each token, which a credential cannot be.
        Exchanges of tokens and tokens of each user (`per`) are for `settings.oauth`, too.
      '';
    };
    clientId =
      text "mcpo-miranda" "Name of the gateway at the authorization server; `null` has it register itself."
      // {
        type = narrow "text, or null without clientSecret and with the grant `authorization_code` alone" (
          value: value != null || !machine && !secret
        ) (types.nullOr types.str);
      };
    clientSecret.file =
      secretFile (types.nullOr secretPath) "/run/secrets/github-oauth"
        "the secret that goes with `clientId`";
    privateKey.file =
      secretFile
        (narrow
          "${secretPath.description}, with the grant `client_credentials` in place of clientSecret.file, otherwise null"
          (value: (value != null) == (machine && !secret))
          (types.nullOr secretPath)
        )
        "/run/secrets/github-oauth-key.pem"
        "the private key (PKCS#8, PEM) with which the gateway signs its assertions, in place of a secret";
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
