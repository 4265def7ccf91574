# What tools are held to.
{ config, lib, ... }:

let
  inherit (lib) literalExpression mkOption types;
  cfg = config.services.mcpo-gateway;
  refuse = import ./refuse.nix;
  inherit (cfg) lock;
  inStore = path: builtins.isPath path || lib.hasPrefix builtins.storeDir (toString path);
in
{
  options.services.mcpo-gateway = {
    lock = {
      file = mkOption {
        type = types.nullOr types.path;
        default = null;
        example = literalExpression "./tools.lock";
        description = ''
          File that `mcpo lock` wrote, beside the configuration in git: what each tool said of itself when somebody
          looked. It holds no secret and is copied into the store. `null` holds no server to anything.
        '';
      };
      drift = mkOption {
        type = types.enum [
          "warn"
          "quarantine"
        ];
        default = "warn";
        example = "quarantine";
        description = ''
          What becomes of a tool that is new or not as it was locked: the log says so (`warn`), or it is also neither
          listed nor called until it is locked anew (`quarantine`).
        '';
      };
    };
  };

  config.assertions = lib.optionals cfg.enable [
    (refuse (lock.file != null && !inStore lock.file)
      "services.mcpo-gateway.lock.file is `${toString lock.file}`, a file that is not there when the system is built and checked. Put the file beside this configuration, and write its path without quotes, such as ./tools.lock."
    )
    (refuse (lock.file == null && lock.drift != "warn")
      "services.mcpo-gateway.lock.drift is `${lock.drift}`, but without services.mcpo-gateway.lock.file there is nothing that a tool could drift from. Set it to the file that `mcpo lock` writes, such as ./tools.lock."
    )
  ];
}
