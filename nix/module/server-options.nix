# The options of one entry of `services.mcpo-gateway.servers`. An option that means nothing to this kind of server takes no
# value; of the ways to a server, the types let through one.
{ gateway }:
{ config, lib, ... }:

let
  inherit (lib)
    attrNames
    concatStringsSep
    hasPrefix
    literalExpression
    mkOption
    toLower
    types
    ;
  inherit (import ./narrow.nix { inherit lib; }) narrow onlyWhere;
  names = import ./names.nix { inherit lib; };
  rate = import ./rate-type.nix { inherit lib; };
  secretPath = import ./secret-path.nix { inherit lib; };
  size = import ./size-type.nix { inherit lib; };

  remote = config.url != null;
  ofLocal = onlyWhere (!remote) "of a server that this machine runs and that has no `url`";
  ofRemote = onlyWhere remote "of a remote server (`url`)";

  # Each is asked for those before it, and `url` for all. `types.attrTag` would say the same, but it takes a set of one
  # member, and `args`, `secrets` and `headers` stand beside the way.
  ways = [
    "command"
    "package"
    "npx"
    "uvx"
  ];
  given = builtins.filter (way: config.${way} != null);
  without =
    others: type:
    onlyWhere (given others == [ ]) "in place of ${concatStringsSep ", " others} and `url`" null (
      types.nullOr type
    );

  # Variables by names that they can have, and that none of `others` sets.
  variables =
    others: type:
    ofLocal { } (
      narrow
        "attribute set of ${type.description}, by names of letters, digits and `_`, each in one of `env`, `secrets` and `secretFiles`"
        (
          set:
          builtins.all (
            name:
            builtins.match "[A-Za-z_][A-Za-z0-9_]*" name != null
            && !builtins.any (other: config.${other} ? ${name}) others
          ) (attrNames set)
        )
        (types.attrsOf type)
    );

  isOwn =
    url:
    builtins.any (host: hasPrefix "http://${host}:${toString gateway.port}/" "${url}/") [
      "localhost"
      "127.0.0.1"
      "[::1]"
    ];

  fetched =
    others: pattern: example: what:
    mkOption {
      type = without others (types.strMatching pattern // { description = "${what} with its version"; });
      default = null;
      inherit example;
      description = ''
        A ${what} that is fetched when the server starts, and run, in place of `command`. It sets `network`,
        `cache` and what it needs of `path`. What is fetched is neither locked nor reviewed, the first start takes as long
        as the download, and does not succeed while the registry is down (with uvx no start
        does); a package from nixpkgs has none of these faults.
      '';
    };

  address = types.strMatching "https?://[^/]+.*";
  header = import ./header-type.nix { inherit lib; };
in
{
  options = {
    command = mkOption {
      type = types.nullOr types.path;
      default = null;
      example = literalExpression ''"''${pkgs.deno}/bin/deno"'';
      description = "Absolute path of the program of a server that speaks MCP over standard input and output.";
    };

    package = mkOption {
      type = without [ "command" ] types.package;
      default = null;
      example = literalExpression "pkgs.mcp-server-time";
      description = "Package of such a server: its main program is run. Instead of `command`.";
    };

    npx =
      fetched [ "command" "package" ] "(@[a-z0-9._-]+/)?[a-z0-9._-]+@[0-9][0-9A-Za-z.+-]*"
        "@modelcontextprotocol/server-everything@2026.7.4"
        "package of npm";

    uvx =
      fetched [ "command" "package" "npx" ] "[A-Za-z0-9._-]+(\\[[A-Za-z0-9,._-]+])?@[0-9][0-9A-Za-z.+!-]*"
        "mcp-server-fetch@2026.1.14"
        "package of PyPI";

    path = mkOption {
      type = ofLocal [ ] (types.listOf types.package);
      default = [ ];
      example = literalExpression "[ pkgs.git ]";
      description = "Packages whose programs the server finds by their names, beside those of coreutils, findutils, grep and sed.";
    };

    args = mkOption {
      type = ofLocal [ ] (types.listOf types.str);
      default = [ ];
      example = [ "--local-timezone=UTC" ];
      description = "Arguments of the program. They can be read by every user of the machine.";
    };

    env = mkOption {
      type = variables [ ] types.str;
      default = { };
      example = {
        LOG_LEVEL = "warn";
      };
      description = "Environment variables of the server that are no secrets.";
    };

    secrets = mkOption {
      type = variables [ "env" ] secretPath;
      default = { };
      example = {
        GITEA_ACCESS_TOKEN = "/run/secrets/gitea-mcp";
      };
      description = ''
        Environment variables whose values are the contents of files. systemd reads each file as root and hands it to
        this server alone; neither the gateway nor another server can read it. A changed secret counts from the
        server's next start on, at the latest after `systemctl restart mcpo`.
      '';
    };

    secretFiles = mkOption {
      type = variables [ "env" "secrets" ] secretPath;
      default = { };
      example = {
        GOOGLE_APPLICATION_CREDENTIALS = "/run/secrets/google.json";
      };
      description = ''
        Environment variables whose values are paths, of copies of these files that this server alone can read, for
        servers that want a file. Otherwise as `secrets`.
      '';
    };

    network = mkOption {
      type = ofLocal false (types.either types.bool (types.enum [ "internet" ]));
      default = false;
      example = "internet";
      description = ''
        Whether the server may use the network. Without it the server sees neither the internet nor this machine's
        own ports. With `"internet"` it reaches public addresses alone: neither the loopback nor private networks, nor
        the addresses where clouds hand out credentials. Names are then resolved by this machine (`services.nscd`), and the
        kernel must enforce `IPAddressDeny=`, which it does not in unprivileged containers: there the server does not run.
      '';
    };

    state = mkOption {
      type = ofLocal false types.bool;
      default = false;
      description = "Whether the server has a directory of its own that lasts (`/var/lib/mcpo-server-NAME`, its HOME).";
    };

    cache = mkOption {
      type = ofLocal false types.bool;
      default = false;
      description = ''
        Whether the server has a cache of its own that lasts (`/var/cache/mcpo-server-NAME`), as package runners want it.
      '';
    };

    isolation = mkOption {
      type = types.enum [
        "shared"
        "key"
        "user"
        "session"
      ];
      default = "shared";
      example = "user";
      description = ''
        Which callers share an instance of this server (a session, of a remote one): all, those of one API key, one user,
        or one MCP session. `''${caller}` in `args` and `env` (`"\''${caller}"` in Nix) is a name of the caller that is safe
        in paths, such as `/var/lib/mcpo-server-memory/''${caller}/memory.jsonl` with `state`.
      '';
    };

    memoryMax = mkOption {
      type = size;
      default = "512M";
      example = "2G";
      description = "Memory of one instance of the server, as systemd writes it. Above it the instance is ended and started anew, and the gateway says why.";
    };

    tasksMax = mkOption {
      type = types.ints.positive;
      default = 128;
      description = "Processes and threads of one instance of the server.";
    };

    maxConnections = mkOption {
      type = ofLocal null (
        types.nullOr (
          narrow "integer, at least `services.mcpo-gateway.settings.limits.identities` (256) and two" (
            value: builtins.isInt value && value >= names.connections gateway.settings
          ) types.ints.positive
        )
      );
      default = null;
      example = 16;
      description = ''
        Instances at one time: one for all ordinary calls, one that takes its place at a reload, and one more for each
        caller that needs a server of its own (`settings.limits.identities`, 256). `null` is as many as the gateway may ask for.
      '';
    };

    url = mkOption {
      type =
        narrow
          "http or https address (not the gateway's own), unless ${concatStringsSep ", " ways} says what this machine runs"
          (
            value:
            (value == null) == (given ways != [ ])
            && (value == null || value != [ ] && !builtins.any isOwn (names.each value))
          )
          (types.nullOr (types.either address (types.listOf address)));
      default = null;
      example = "https://huggingface.co/mcp";
      description = ''
        Address of a remote server, or a list of them: the first that serves is used, with the same `headers`, and calls
        come back to an earlier one when that serves again.
      '';
    };

    transport = mkOption {
      type = types.enum [
        "streamable-http"
        "sse"
      ];
      default = "streamable-http";
      description = "What the remote server speaks; `sse` is the older HTTP+SSE.";
    };

    headers = mkOption {
      type = ofRemote { } (types.attrsOf header);
      default = { };
      example = literalExpression ''{ Authorization = { prefix = "Bearer "; file = "/run/secrets/github"; }; }'';
      description = "Headers for the remote server: text that is no secret, or `prefix` and `file`.";
    };

    oauth = mkOption {
      type = ofRemote null (
        narrow "null or submodule, in place of `settings.oauth` and of a header `Authorization`" (
          value:
          value == null
          ||
            !(config.settings ? oauth)
            && !builtins.elem "authorization" (map toLower (attrNames config.headers))
        ) (types.nullOr (types.submodule (import ./oauth-options.nix { inherit gateway; })))
      );
      default = null;
      example = literalExpression ''{ grant = "client_credentials"; clientId = "mcpo"; clientSecret.file = "/run/secrets/github-oauth"; }'';
      description = ''
        That the remote server wants a sign-in, and how the gateway does it; `{ }` has somebody sign in once in a
        browser, for all callers. Tokens are kept under `stateDir` with mode 0600.
      '';
    };

    rate = mkOption {
      type = rate;
      default = null;
      example = "5/s";
      description = ''
        How many calls the server gets in how much time, of all callers together: text such as `60/min` (`/s`, `/h`,
        `/day`), or `calls`, `per` and `burst`. Over it a call is refused with 429 and `Retry-After`. `null` sets no
        limit.
      '';
    };

    concurrency = mkOption {
      type = types.nullOr types.ints.positive;
      default = null;
      example = 4;
      description = "Calls to the server that run at one time; further ones wait. `null` leaves it at `limits.concurrency` (64).";
    };

    settings = mkOption {
      type = types.submodule {
        freeformType = import ./settings-type.nix {
          inherit lib;
          taken = [
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
            "concurrency"
            "rate"
            "isolation"
          ];
        };
      };
      default = { };
      example = {
        required = true;
        timeout = 20;
        disabledTools = [ "delete_*" ];
      };
      description = ''
        Further settings of this server's entry in the gateway's configuration: `required`, `disabled`, `timeout` (seconds),
        `enabledTools`, `disabledTools`, `readOnlyTools`, `tools`, `forwardHeaders` and `protocol`.
      '';
    };
  };
  config = lib.mkIf (config.url == null && (config.npx != null || config.uvx != null)) {
    network = lib.mkDefault true;
    cache = lib.mkDefault true;
  };
}
