# How the gateway signs in to servers: what the types of ./oauth-options.nix cannot say.
{ config, lib, ... }:

let
  inherit (lib)
    attrNames
    concatLists
    concatStringsSep
    filterAttrs
    mapAttrsToList
    ;
  cfg = config.services.mcpo-gateway;
  refuse = import ./refuse.nix;
  inherit (lib.strings) escapeNixIdentifier;

  oauth =
    name: server:
    let
      option = "services.mcpo-gateway.servers.${escapeNixIdentifier name}";
      inherit (server) oauth;
      machine = oauth.grant == "client_credentials";
      secret = oauth.clientSecret.file != null;
      key = oauth.privateKey.file != null;
      authorization = builtins.filter (header: lib.toLower header == "authorization") (
        attrNames server.headers
      );
    in
    [
      (refuse (secret && key)
        "${option}.oauth has both clientSecret.file and privateKey.file, but a client proves itself in one way. Keep the one that the authorization server knows."
      )
      (refuse (machine && (oauth.clientId == null || !(secret || key)))
        "${option}.oauth.grant is `client_credentials`, which needs clientId, and clientSecret.file or privateKey.file. Add what the authorization server gave out, or leave `grant` out to have somebody sign in."
      )
      (refuse (!machine && key)
        "${option}.oauth.privateKey.file is for the grant `client_credentials` alone. Set grant = \"client_credentials\", or give clientSecret.file."
      )
      (refuse (!machine && secret && oauth.clientId == null)
        "${option}.oauth.clientSecret.file says nothing without its clientId. Add clientId, or remove both to have the gateway register itself."
      )
      (refuse (!machine && cfg.publicUrl == null)
        "${option}.oauth has somebody sign in with a browser, which comes back to an address that the gateway does not know. Set services.mcpo-gateway.publicUrl to the one that people type, such as \"https://mcp.example.org\"."
      )
      (refuse (authorization != [ ])
        "${option}.headers.${concatStringsSep ", " authorization} stands beside oauth, and only one of the two can be sent. Remove one."
      )
    ];

in
{
  config.assertions = lib.optionals cfg.enable (
    concatLists (
      mapAttrsToList oauth (
        filterAttrs (_: server: server.oauth != null && server.url != null) cfg.servers
      )
    )
  );
}
