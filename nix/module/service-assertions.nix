# What the types of OAuth, rates, profiles, TLS, the lock and the audit trail cannot say. Each message names the option,
# the reason and the fix.
{ config, lib, ... }:

let
  inherit (lib)
    attrNames
    concatLists
    concatStringsSep
    elem
    filterAttrs
    hasPrefix
    isString
    mapAttrsToList
    optionals
    ;
  inherit (lib.strings) escapeNixIdentifier;
  cfg = config.services.mcpo;

  refuse = condition: message: {
    assertion = !condition;
    inherit message;
  };

  # The gateway knows these, too: src/config/rate.rs.
  short = "[ ]*0*[1-9][0-9]*[ ]*/[ ]*(s|sec|second|m|min|minute|h|hour|d|day|week)[ ]*";
  rate =
    option: value:
    let
      fix = "Write \"60/min\" (or /s, /h, /day), or `{ calls = 60; per = 60; burst = 10; }` with `per` in seconds.";
    in
    if value == null then
      [ ]
    else if isString value then
      [
        (refuse (
          builtins.match short value == null
        ) "${option}.rate is `${value}`, which is no rate. ${fix}")
      ]
    else
      [
        (refuse (
          value.per <= 0
        ) "${option}.rate.per is ${toString value.per}, and no call comes in no time. ${fix}")
      ];
  rates =
    concatLists (
      mapAttrsToList (
        name: key: rate "services.mcpo.apiKeys.${escapeNixIdentifier name}" key.rate
      ) cfg.apiKeys
    )
    ++ concatLists (
      mapAttrsToList (
        name: server: rate "services.mcpo.servers.${escapeNixIdentifier name}" server.rate
      ) cfg.servers
    );

  profiles = mapAttrsToList (
    name: key:
    refuse (key.profile != null && !cfg.profiles ? ${key.profile})
      "services.mcpo.apiKeys.${escapeNixIdentifier name}.profile is `${toString key.profile}`, but there ${
        if cfg.profiles == { } then
          "are no profiles"
        else
          "is none of that name beside ${concatStringsSep ", " (attrNames cfg.profiles)}"
      }. Add services.mcpo.profiles.${escapeNixIdentifier (toString key.profile)}, without which the key would show more than was meant."
  ) cfg.apiKeys;

  oauth =
    name: server:
    let
      option = "services.mcpo.servers.${escapeNixIdentifier name}";
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
        "${option}.oauth has somebody sign in with a browser, which comes back to an address that the gateway does not know. Set services.mcpo.publicUrl to the one that people type, such as \"https://mcp.example.org\"."
      )
      (refuse (authorization != [ ])
        "${option}.headers.${concatStringsSep ", " authorization} stands beside oauth, and only one of the two can be sent. Remove one."
      )
    ];

  inherit (cfg) audit lock tls;
  files = [
    tls.certificate
    tls.key
  ];
  inStore = path: builtins.isPath path || hasPrefix builtins.storeDir (toString path);
in
{
  config.assertions = optionals cfg.enable (
    rates
    ++ profiles
    ++ concatLists (
      mapAttrsToList oauth (
        filterAttrs (_: server: server.oauth != null && server.url != null) cfg.servers
      )
    )
    ++ [
      (refuse (hasPrefix "unix:" cfg.host) "services.mcpo.host is `${cfg.host}`, but the unit can make no socket where others may open it. Give it one that systemd makes: systemd.sockets.mcpo = { wantedBy = [ \"sockets.target\" ]; listenStreams = [ \"/run/mcpo.sock\" ]; }, which is served in place of host and port.")
      (refuse (cfg.publicUrl != null && builtins.match "https?://[^/]+.*" cfg.publicUrl == null)
        "services.mcpo.publicUrl is `${toString cfg.publicUrl}`, which is no http or https address. Write the one that people type, such as \"https://mcp.example.org\"."
      )

      (refuse
        (
          tls.useACMEHost == null
          && elem null files
          &&
            files != [
              null
              null
            ]
        )
        "services.mcpo.tls.${
          if tls.key == null then "certificate has no key" else "key has no certificate"
        } beside it, and TLS needs both. Set services.mcpo.tls.${
          if tls.key == null then "key" else "certificate"
        }."
      )
      (refuse
        (
          tls.useACMEHost != null
          &&
            files != [
              null
              null
            ]
        )
        "services.mcpo.tls.useACMEHost stands beside a file of your own, but one certificate is served. Keep useACMEHost, or certificate and key."
      )
      (refuse (tls.key != null && inStore tls.key)
        "services.mcpo.tls.key is in the Nix store, or would be copied there, where every user of the machine can read it. Write the path of a file on the machine as a string, such as \"/srv/tls/key.pem\"."
      )
      (refuse (tls.key != null && !inStore tls.key && !hasPrefix "/" (toString tls.key))
        "services.mcpo.tls.key is no absolute path; it is a file that holds the key, never the key itself. Write a path such as \"/srv/tls/key.pem\"."
      )

      (refuse (lock.file != null && !inStore lock.file)
        "services.mcpo.lock.file is `${toString lock.file}`, a file that is not there when the system is built and checked. Put the file beside this configuration, and write its path without quotes, such as ./tools.lock."
      )
      (refuse (lock.file == null && lock.drift != "warn")
        "services.mcpo.lock.drift is `${lock.drift}`, but without services.mcpo.lock.file there is nothing that a tool could drift from. Set it to the file that `mcpo lock` writes, such as ./tools.lock."
      )

      (refuse (audit.to == "file" && !hasPrefix "/var/log/mcpo/" audit.file)
        "services.mcpo.audit.file is `${audit.file}`, but the gateway can write in /var/log/mcpo alone. Write a path in there, such as \"/var/log/mcpo/audit.jsonl\"."
      )
      (refuse (audit.to == null && (audit.arguments != "none" || audit.secret.file != null))
        "services.mcpo.audit.${
          if audit.arguments != "none" then "arguments" else "secret"
        } is set, but there is no audit trail. Set services.mcpo.audit.to to \"journal\" or \"file\"."
      )
      (refuse (audit.to != null && audit.secret.file != null && audit.arguments == "none")
        "services.mcpo.audit.secret.file is the key of digests, and there are none. Set services.mcpo.audit.arguments = \"digest\", or remove it."
      )
    ]
  );
}
