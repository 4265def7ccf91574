# What the replicas of one gateway have in common, and the name of each. A host of each: ../hosts/replicas.nix.
{ lib, ... }:

let
  inherit (lib) mkOption types;
  secretPath = import ./secret-path.nix { inherit lib; };

  optional =
    pattern: what: more:
    mkOption (
      {
        type = types.nullOr (types.strMatching pattern // { description = what; });
        default = null;
      }
      // more
    );
in
{
  options.services.mcpo-gateway = {
    shared = optional "rediss?://.+" "address of a Redis, redis:// or rediss://" {
      example = "rediss://mcpo:\${credential:redis}@redis.example.org";
      description = ''
        Redis that all replicas of this gateway share: rates and concurrency count over all of them, and tokens, sign-ins
        and sessions are known to all. A password is one of `credentials`, to which the address refers. While Redis
        is away, calls go on and each replica counts for itself.
      '';
    };

    sessionKeyFile = mkOption {
      type = types.nullOr (types.either secretPath (types.listOf secretPath)) // {
        description = "null or ${secretPath.description}, or list of such paths";
      };
      default = null;
      example = "/run/secrets/mcpo-session-key";
      description = ''
        File with the secret that seals the sessions of MCP clients, at least 32 characters; the same at all replicas. Of
        a list the first seals and all open, so that a new one can take its place. `null` has the gateway make one under
        `stateDir`, which no other replica knows. A changed one counts after `systemctl restart mcpo`.
      '';
    };

    replica = {
      name = optional "[A-Za-z0-9._:-]{1,100}" "name of letters, digits, `.`, `_`, `:` and `-`" {
        example = "gateway-1";
        description = "Name of this replica, which no other has. `null` is the host name with the port.";
      };
      url = optional "https?://[^/]+" "http or https address without a path" {
        example = "http://gateway-1.example.org:8000";
        description = ''
          Where the other replicas reach this one, past the balancer: they pass on what a client without a session answers
          to a question that was asked here. `null` is where it listens, with the host name for all addresses.
        '';
      };
    };
  };
}
