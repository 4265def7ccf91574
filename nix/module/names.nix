# Pure functions from what the operator wrote to the names of units, sockets and credentials.
{ lib }:

let
  inherit (lib) concatMapStrings stringToCharacters;

  allowed = stringToCharacters "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-";
in
rec {
  # First path segments that the gateway keeps for itself; src/config/name.rs has the same list.
  reserved = [
    "docs"
    "redoc"
    "openapi.json"
    "mcp"
    "health"
    "ready"
    "metrics"
    "servers"
    "v1"
    "oauth"
    "assets"
    ".well-known"
  ];

  # What may stand in the name of a unit and of a file: every other character becomes `-`.
  sanitize =
    name:
    concatMapStrings (character: if builtins.elem character allowed then character else "-") (
      stringToCharacters name
    );

  # Below system.slice, so that its weight counts against that of the gateway.
  slice = "system-mcpo.slice";

  option = server: "services.mcpo-gateway.servers.${lib.strings.escapeNixIdentifier server}";
  unit = server: "mcpo-server-${sanitize server}";

  # A directory of root and the gateway's group, which no server's own user can enter.
  socketDirectory = "/run/mcpo-servers";
  socket = server: "${socketDirectory}/${sanitize server}.sock";

  headerCredential = server: header: "header-${sanitize server}-${sanitize header}";
  keyCredential = key: "key-${sanitize key}";
  openWebUiCredential = key: "open-webui-${sanitize key}";
  # `member` is `clientSecret` or `privateKey`.
  oauthCredential = member: server: "oauth-${member}-${sanitize server}";
  auditCredential = "audit-secret";
  # The first is 1.
  sessionCredential = number: "session-key-${toString number}";

  # One value or a list of them.
  each = value: if builtins.isList value then value else [ value ];

  # Whether an entry is a server that this machine runs.
  isLocal = server: server.url == null;

  # Instances of one server that the gateway may ask for; src/config/defaults.rs has the number of identities.
  connections =
    settings: (if settings.limits.identities == null then 256 else settings.limits.identities) + 2;

  # One argument of ExecStart=: systemd expands `%` and `$` unless they are doubled. JSON's quoting is among
  # those that systemd reads.
  escapeArgument =
    argument: builtins.toJSON (builtins.replaceStrings [ "%" "$" ] [ "%%" "$$" ] (toString argument));

  # The value of one variable for NixOS's `environment`, which quotes but leaves systemd's `%` as it is.
  escapeVariable = builtins.replaceStrings [ "%" ] [ "%%" ];
}
