# The options of one entry of `services.mcpo-gateway.servers`.
{
  json,
  rate,
  secretPath,
}:
{ config, lib, ... }:

let
  inherit (lib) literalExpression mkOption types;

  fetched =
    pattern: example: what:
    mkOption {
      type = types.nullOr (types.strMatching pattern // { description = "${what} with its version"; });
      default = null;
      inherit example;
      description = ''
        A ${what} that is fetched when the server starts, and run, in place of `command`. It sets `network`,
        `cache` and what it needs of `path`. What is fetched is neither locked nor reviewed, the first start takes as long
        as the download, and does not succeed while the registry is down (with uvx no start
        does); a package from nixpkgs has none of these faults.
      '';
    };

  size = import ./size-type.nix { inherit lib; };

  secretHeader = types.submodule {
    options = {
      prefix = mkOption {
        type = types.str;
        default = "";
        example = "Bearer ";
        description = "Text before the secret.";
      };
      file = mkOption {
        type = secretPath;
        example = "/run/secrets/github";
        description = ''
          File that holds the rest of the value. systemd reads it as root and hands it to the gateway
          alone. A changed secret counts after `systemctl restart mcpo`.
        '';
      };
    };
  };
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
      type = types.nullOr types.package;
      default = null;
      example = literalExpression "pkgs.mcp-server-time";
      description = "Package of such a server: its main program is run. Instead of `command`.";
    };

    npx =
      fetched "(@[a-z0-9._-]+/)?[a-z0-9._-]+@[0-9][0-9A-Za-z.+-]*"
        "@modelcontextprotocol/server-everything@2026.7.4"
        "package of npm";

    uvx =
      fetched "[A-Za-z0-9._-]+(\\[[A-Za-z0-9,._-]+])?@[0-9][0-9A-Za-z.+!-]*" "mcp-server-fetch@2026.1.14"
        "package of PyPI";

    path = mkOption {
      type = types.listOf types.package;
      default = [ ];
      example = literalExpression "[ pkgs.git ]";
      description = "Packages whose programs the server finds by their names, beside those of coreutils, findutils, grep and sed.";
    };

    args = mkOption {
      type = types.listOf types.str;
      default = [ ];
      example = [ "--local-timezone=UTC" ];
      description = "Arguments of the program. They can be read by every user of the machine.";
    };

    env = mkOption {
      type = types.attrsOf types.str;
      default = { };
      example = {
        LOG_LEVEL = "warn";
      };
      description = "Environment variables of the server that are no secrets.";
    };

    secrets = mkOption {
      type = types.attrsOf secretPath;
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
      type = types.attrsOf secretPath;
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
      type = types.either types.bool (types.enum [ "internet" ]);
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
      type = types.bool;
      default = false;
      description = "Whether the server has a directory of its own that lasts (`/var/lib/mcpo-server-NAME`, its HOME).";
    };

    cache = mkOption {
      type = types.bool;
      default = false;
      description = ''
        Whether the server has a cache of its own that lasts (`/var/cache/mcpo-server-NAME`), as package runners want it.
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
      type = types.nullOr types.ints.positive;
      default = null;
      example = 16;
      description = ''
        Instances at one time: one for all ordinary calls, one that takes its place at a reload, and one more for each
        caller that needs a server of its own (`settings.limits.identities`, 256). `null` is as many as the gateway may ask for.
      '';
    };

    url = mkOption {
      type = types.nullOr types.str;
      default = null;
      example = "https://huggingface.co/mcp";
      description = "Address of a remote server.";
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
      type = types.attrsOf (types.either types.str secretHeader);
      default = { };
      example = literalExpression ''{ Authorization = { prefix = "Bearer "; file = "/run/secrets/github"; }; }'';
      description = "Headers for the remote server: text that is no secret, or `prefix` and `file`.";
    };

    oauth = mkOption {
      type = types.nullOr (types.submodule (import ./oauth-options.nix { inherit secretPath; }));
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
      type = types.submodule { freeformType = json.type; };
      default = { };
      example = {
        required = true;
        timeout = 20;
        disabledTools = [ "delete_*" ];
      };
      description = ''
        Further keys of this server's entry in the gateway's configuration: `required`, `disabled`, `timeout` (seconds),
        `enabledTools`, `disabledTools`, `readOnlyTools`, `tools`, `forwardHeaders` and `protocol`.
      '';
    };
  };
  config = lib.mkIf (config.url == null && (config.npx != null || config.uvx != null)) {
    network = lib.mkDefault true;
    cache = lib.mkDefault true;
  };
}
