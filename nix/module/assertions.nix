# What the types cannot say. Each message names the option, the reason and the fix.
{
  config,
  lib,
  ...
}:

let
  inherit (lib)
    attrNames
    concatLists
    concatStringsSep
    filter
    filterAttrs
    groupBy
    hasPrefix
    isAttrs
    isList
    isString
    mapAttrsToList
    optional
    ;
  cfg = config.services.mcpo-gateway;
  names = import ./names.nix { inherit lib; };

  refuse = import ./refuse.nix;

  inherit (lib.strings) escapeNixIdentifier;

  credentials = import ./credentials.nix { inherit cfg lib; };

  localOnly = [
    "args"
    "env"
    "path"
    "secrets"
    "secretFiles"
  ];

  server =
    name: entry:
    let
      option = "services.mcpo-gateway.servers.${escapeNixIdentifier name}";
      ways = filter (way: entry.${way} != null) [
        "command"
        "npx"
        "package"
        "url"
        "uvx"
      ];
      remote = entry.url != null;
      useless =
        if remote then
          filter (key: entry.${key} != { } && entry.${key} != [ ]) localOnly
          ++ filter (key: entry.${key} != false) [
            "network"
            "state"
            "cache"
          ]
        else
          optional (entry.headers != { }) "headers" ++ optional (entry.oauth != null) "oauth";
      kept = filter (key: entry.settings ? ${key}) [
        "command"
        "args"
        "env"
        "envFile"
        "passEnv"
        "cwd"
        "url"
        "type"
        "headers"
        "socket"
      ];
      twice = filter (key: entry.${key} != null && entry.settings ? ${key}) [
        "concurrency"
        "oauth"
        "rate"
      ];
      secrets = entry.secrets // entry.secretFiles;
      clash =
        attrNames (builtins.intersectAttrs secrets entry.env)
        ++ attrNames (builtins.intersectAttrs entry.secrets entry.secretFiles);
      badVariables = filter (variable: builtins.match "[A-Za-z_][A-Za-z0-9_]*" variable == null) (
        attrNames secrets ++ attrNames entry.env
      );
      openHeaders = filter (
        header:
        isString entry.headers.${header}
        && builtins.elem (lib.toLower header) [
          "authorization"
          "proxy-authorization"
          "cookie"
          "x-api-key"
          "api-key"
        ]
      ) (attrNames entry.headers);
      ownPort =
        remote
        && builtins.any (host: hasPrefix "http://${host}:${toString cfg.port}/" "${entry.url}/") [
          "localhost"
          "127.0.0.1"
          "[::1]"
        ];
    in
    [
      (refuse (
        name == ""
      ) "services.mcpo-gateway.servers.\"\" has an empty name. Give the server a name.")
      (refuse (builtins.elem name names.reserved) "${option}: `${name}` is a path of the gateway itself, so no server can be called that. Rename it, for instance to `${name}-server`.")
      (refuse (ways == [ ])
        "${option} says neither what to run nor where the server is. Give `package`, `command`, `npx` or `uvx` for a server that this machine runs, or `url` for a remote one."
      )
      (refuse (builtins.length ways > 1)
        "${option} has ${
          concatStringsSep " and " (map (way: "`${way}`") ways)
        }, but a server is reached in one way. Keep one of them."
      )
      (refuse (ways != [ ] && useless != [ ])
        "${option}.${concatStringsSep ", " useless} means nothing to ${
          if remote then "a remote server" else "a server that this machine runs"
        } and would be ignored. Remove it${lib.optionalString remote ", or give a secret to a remote server in `headers`"}."
      )
      (refuse (kept != [ ])
        "${option}.settings.${concatStringsSep ", " kept} would bypass the unit of this server. Use the options beside `settings`."
      )
      (refuse (twice != [ ])
        "${option}.${concatStringsSep ", " twice} stands in `settings` of the server, too. Keep the option."
      )
      (refuse (clash != [ ])
        "${option} sets ${concatStringsSep ", " clash} in two of `env`, `secrets` and `secretFiles`. Keep one, and no secret in `env`."
      )
      (refuse (badVariables != [ ])
        "${option}: `${concatStringsSep "`, `" badVariables}` cannot be the name of an environment variable. Use letters, digits and `_`."
      )
      (refuse (openHeaders != [ ])
        "${option}.headers.${concatStringsSep ", " openHeaders} would stand in the world-readable store. Write `{ prefix = \"Bearer \"; file = \"/run/secrets/NAME\"; }`."
      )
      (refuse
        (!remote && entry.maxConnections != null && entry.maxConnections < names.connections cfg.settings)
        "${option}.maxConnections is ${toString entry.maxConnections}, but the gateway may ask for ${toString (names.connections cfg.settings)} instances, and systemd would refuse some of them without a word. Set services.mcpo-gateway.settings.limits.identities to ${
          toString (entry.maxConnections - 2)
        }, or leave out maxConnections."
      )
      (refuse ownPort "${option}.url is the address of the gateway itself (services.mcpo-gateway.port is ${toString cfg.port}). Give the server or the gateway another port.")
    ];

  becomesDash = "because characters other than letters, digits, `_`, `.` and `-` become `-`";

  # Servers whose units would have one name.
  sameUnit =
    map
      (
        group:
        refuse (builtins.length group > 1)
          "services.mcpo-gateway.servers.{${
            concatStringsSep ", " (map (name: "\"${name}\"") group)
          }} would both be `${names.unit (builtins.head group)}`, ${becomesDash}. Rename one of them."
      )
      (builtins.attrValues (groupBy names.unit (attrNames (filterAttrs (_: names.isLocal) cfg.servers))));

  # Secrets of the gateway that would be one credential: one of them would go where the other belongs.
  sameCredential = mapAttrsToList (
    credential: group:
    refuse (builtins.length group > 1)
      "${
        concatStringsSep " and " (map (secret: secret.option) group)
      } would both be the credential `${credential}`, ${becomesDash} and `-` joins a server and its header. Rename one of them."
  ) (groupBy (secret: secret.id) (credentials.own ++ credentials.ofServers));

  badCredentials = filter (name: name != names.sanitize name) (attrNames cfg.credentials);

  # Members of `settings` that look like a secret and are one, since they refer to nothing.
  openSecrets =
    path: value:
    if isAttrs value then
      concatLists (mapAttrsToList (key: openSecrets (path ++ [ key ])) value)
    else if isList value then
      concatLists (map (openSecrets path) value)
    else
      optional (
        isString value
        && !lib.hasInfix "\${" value
        && builtins.elem (lib.last path) [
          "apiKey"
          "assertion"
          "clientSecret"
          "client_secret"
          "password"
          "privateKey"
          "token"
        ]
      ) (concatStringsSep "." path);
  openSettings =
    openSecrets [ "services.mcpo-gateway.settings" ] cfg.settings
    ++ concatLists (
      mapAttrsToList (
        name: entry: openSecrets [ "services.mcpo-gateway.servers.${name}.settings" ] entry.settings
      ) cfg.servers
    );

  # Keys of `settings` that an option stands for.
  taken = builtins.intersectAttrs cfg.settings {
    apiKey = "apiKeys";
    apiKeys = "apiKeys";
    audit = "audit";
    host = "host";
    lock = "lock";
    mcpServers = "servers";
    port = "port";
    profiles = "profiles";
    publicUrl = "publicUrl";
    servers = "servers";
    stateDir = "stateDir";
    tls = "tls";
  };
in
{
  config.assertions = lib.optionals cfg.enable (
    concatLists (mapAttrsToList server cfg.servers)
    ++ sameUnit
    ++ sameCredential
    ++ [
      (refuse (badCredentials != [ ])
        "services.mcpo-gateway.credentials: `${concatStringsSep "`, `" badCredentials}` cannot be the name of a credential. Use letters, digits, `_`, `.` and `-`."
      )
      (refuse (taken != { })
        "services.mcpo-gateway.settings.${concatStringsSep ", " (attrNames taken)} has an option of its own. Use ${
          concatStringsSep ", " (map (option: "services.mcpo-gateway.${option}") (builtins.attrValues taken))
        }."
      )
      (refuse (openSettings != [ ])
        "${concatStringsSep ", " openSettings} would stand in the world-readable store. Name the file in services.mcpo-gateway.credentials.NAME and write \"\\\${credential:NAME}\" here."
      )
    ]
  );
}
