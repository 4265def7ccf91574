# The secret files that become credentials of the gateway: for each the option that names it, the credential's name
# and the file. `own` are those that the gateway cannot do without, `ofServers` those that one server misses.
{ cfg, lib }:

let
  inherit (lib)
    concatLists
    filterAttrs
    imap1
    isString
    mapAttrsToList
    optional
    optionals
    ;
  inherit (lib.strings) escapeNixIdentifier;
  names = import ./names.nix { inherit lib; };

  headers =
    name: server:
    mapAttrsToList (header: value: {
      option = "${names.option name}.headers.${escapeNixIdentifier header}.file";
      id = names.headerCredential name header;
      inherit (value) file;
    }) (filterAttrs (_: value: !isString value) server.headers);

  oauth =
    name: server:
    let
      proof =
        member:
        optional (server.oauth.${member}.file != null) {
          option = "${names.option name}.oauth.${member}.file";
          id = names.oauthCredential member name;
          inherit (server.oauth.${member}) file;
        };
    in
    if server.oauth == null then [ ] else proof "clientSecret" ++ proof "privateKey";
in
{
  own =
    mapAttrsToList (name: key: {
      option = "services.mcpo-gateway.apiKeys.${escapeNixIdentifier name}.file";
      id = names.keyCredential name;
      inherit (key) file;
    }) cfg.apiKeys
    ++ mapAttrsToList (name: key: {
      option = "services.mcpo-gateway.apiKeys.${escapeNixIdentifier name}.openWebUi.secret.file";
      id = names.openWebUiCredential name;
      inherit (key.openWebUi.secret) file;
    }) (filterAttrs (_: key: key.openWebUi != null) cfg.apiKeys)
    ++ mapAttrsToList (id: file: {
      option = "services.mcpo-gateway.credentials.${escapeNixIdentifier id}";
      inherit id file;
    }) cfg.credentials
    ++ optionals (cfg.sessionKeyFile != null) (
      imap1 (number: file: {
        option = "services.mcpo-gateway.sessionKeyFile";
        id = names.sessionCredential number;
        inherit file;
      }) (names.each cfg.sessionKeyFile)
    )
    ++ optional (cfg.audit.secret.file != null) {
      option = "services.mcpo-gateway.audit.secret.file";
      id = names.auditCredential;
      inherit (cfg.audit.secret) file;
    };

  ofServers = concatLists (
    mapAttrsToList (name: server: headers name server ++ oauth name server) cfg.servers
  );
}
