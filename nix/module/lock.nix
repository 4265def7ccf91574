# What tools are held to.
{ config, lib, ... }:

let
  inherit (lib) literalExpression mkOption types;
  cfg = config.services.mcpo-gateway;
  inherit (import ./narrow.nix { inherit lib; }) narrow onlyWhere;
  inherit (cfg) lock;
  inStore = path: builtins.isPath path || lib.hasPrefix builtins.storeDir (toString path);
  file =
    narrow "file beside this configuration, written without quotes, such as ./tools.lock" inStore
      types.path;
in
{
  options.services.mcpo-gateway = {
    lock = {
      file = mkOption {
        type = types.nullOr file;
        default = null;
        example = literalExpression "./tools.lock";
        description = ''
          File that `mcpo lock` wrote, beside the configuration in git: what each tool said of itself when somebody
          looked. It holds no secret and is copied into the store. `null` holds no server to anything.
        '';
      };
      drift = mkOption {
        type = onlyWhere (lock.file != null) "where `lock.file` says what a tool could drift from" "warn" (
          types.enum [
            "warn"
            "quarantine"
          ]
        );
        default = "warn";
        example = "quarantine";
        description = ''
          What becomes of a tool that is new or not as it was locked: the log says so (`warn`), or it is also neither
          listed nor called until it is locked anew (`quarantine`).
        '';
      };
    };
  };
}
