# The gateway's configuration file: rendered without a secret, checked by the gateway itself when the system is
# built, linked at /etc/mcpo/config.json, from where a reload reads it.
{
  config,
  lib,
  pkgs,
  ...
}:

let
  inherit (lib) filterAttrs mapAttrs optionalAttrs;
  cfg = config.services.mcpo-gateway;
  names = import ./names.nix { inherit lib; };

  header =
    server: name: value:
    if builtins.isString value then
      # A `$` that the operator wrote is a `$`.
      builtins.replaceStrings [ "\${" ] [ "$\${" ] value
    else
      "${value.prefix}\${credential:${names.headerCredential server name}}";

  # What was not set is not written.
  given = filterAttrs (_: value: value != null);
  rate = value: if builtins.isAttrs value then given value else value;
  limits =
    entry:
    given {
      inherit (entry) concurrency;
      rate = rate entry.rate;
    };

  # What is a secret is only referred to.
  oauth =
    name: settings:
    let
      proof =
        member:
        optionalAttrs (settings.${member}.file != null) {
          ${member} = "\${credential:${names.oauthCredential member name}}";
        };
    in
    {
      inherit (settings) grant;
    }
    // given { inherit (settings) clientId clientMetadataUrl issuer; }
    // optionalAttrs (settings.scopes != [ ]) { inherit (settings) scopes; }
    // optionalAttrs (settings.pkce != "announced") { inherit (settings) pkce; }
    // proof "clientSecret"
    // proof "privateKey";

  entry =
    name: server:
    (
      if names.isLocal server then
        {
          socket = names.socket name;
          # The entry is only a socket; a new program or environment behind it shows here, and a reload then
          # connects anew.
          revision = builtins.hashString "sha256" config.systemd.units."${names.unit name}@.service".text;
        }
      else
        {
          type = server.transport;
          inherit (server) url;
        }
        // optionalAttrs (server.headers != { }) { headers = mapAttrs (header name) server.headers; }
        // optionalAttrs (server.oauth != null) { oauth = oauth name server.oauth; }
    )
    // optionalAttrs (server.isolation != "shared") { inherit (server) isolation; }
    // limits server
    // server.settings;

  apiKey =
    name: key:
    {
      key = "\${credential:${names.keyCredential name}}";
      inherit (key) readOnly admin metrics;
    }
    // given { inherit (key) servers profile; }
    // optionalAttrs (key.openWebUi != null) {
      openWebUi = {
        inherit (key.openWebUi) users;
        secret = "\${credential:${names.openWebUiCredential name}}";
      };
    }
    // limits key;

  tls =
    if cfg.tls.useACMEHost != null then
      let
        inherit (config.security.acme.certs.${cfg.tls.useACMEHost}) directory;
      in
      {
        certificate = "${directory}/fullchain.pem";
        key = "${directory}/key.pem";
      }
    else
      {
        # No secret: one beside the configuration may be copied into the store.
        certificate = "${cfg.tls.certificate}";
        key = toString cfg.tls.key;
      };

  audit = {
    inherit (cfg.audit) to arguments;
  }
  // optionalAttrs (cfg.audit.to == "file") { inherit (cfg.audit) file; }
  // optionalAttrs (cfg.audit.secret.file != null) {
    secret = "\${credential:${names.auditCredential}}";
  };

  settings =
    let
      limits = given cfg.settings.limits;
    in
    removeAttrs cfg.settings [ "limits" ] // optionalAttrs (limits != { }) { inherit limits; };

  unchecked = (pkgs.formats.json { }).generate "mcpo-unchecked.json" cfg.configData;
in
{
  config = lib.mkIf cfg.enable {
    services.mcpo-gateway.configData =
      settings
      // {
        inherit (cfg) host port stateDir;
        mcpServers = mapAttrs entry cfg.servers;
      }
      // given { inherit (cfg) publicUrl shared; }
      // optionalAttrs (cfg.sessionKeyFile != null) {
        sessionKey = lib.imap1 (number: _: "\${credential:${names.sessionCredential number}}") (
          names.each cfg.sessionKeyFile
        );
      }
      // optionalAttrs (given cfg.replica != { }) { replica = given cfg.replica; }
      // optionalAttrs (cfg.apiKeys != { }) { apiKeys = mapAttrs apiKey cfg.apiKeys; }
      // optionalAttrs (cfg.profiles != { }) { profiles = mapAttrs (_: given) cfg.profiles; }
      // optionalAttrs (cfg.tls.useACMEHost != null || cfg.tls.certificate != null) { inherit tls; }
      # Into the store, where the check finds it when the system is built.
      // optionalAttrs (cfg.lock.file != null) {
        lock = {
          file = "${cfg.lock.file}";
          inherit (cfg.lock) drift;
        };
      }
      // optionalAttrs (cfg.audit.to != null) { inherit audit; };

    # `mcpo check` needs no secret. The program of the machine that builds is the one of the machine that runs,
    # unless this is a cross build, which then goes unchecked.
    services.mcpo-gateway.configFile = pkgs.runCommand "mcpo-config.json" { } (
      lib.optionalString (pkgs.stdenv.buildPlatform.canExecute pkgs.stdenv.hostPlatform) ''
        ${lib.getExe' cfg.package "mcpo"} check --config ${unchecked}
      ''
      + ''
        cp ${unchecked} $out
      ''
    );

    environment.etc."mcpo/config.json".source = cfg.configFile;
  };
}
