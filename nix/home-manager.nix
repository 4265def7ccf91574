# `services.mcpo-gateway` of home-manager: a gateway of one user, on the loopback, whose servers are its children.
{
  config,
  lib,
  pkgs,
  ...
}:

let
  inherit (lib) mkOption types;
  cfg = config.services.mcpo-gateway;
  json = pkgs.formats.json { };
  unchecked = json.generate "mcpo-unchecked.json" cfg.settings;
  # `mcpo check` needs no secret.
  checked = pkgs.runCommand "mcpo.json" { } ''
    ${lib.getExe' cfg.package "mcpo"} check --config ${unchecked}
    cp ${unchecked} $out
  '';
in
{
  options.services.mcpo-gateway = {
    enable = lib.mkEnableOption "mcpo, a gateway that puts many MCP servers behind one HTTP port";
    package = mkOption {
      type = types.package;
      default = pkgs.callPackage ./package.nix { };
      defaultText = lib.literalExpression "mcpo-gateway of the flake";
      description = "The gateway.";
    };
    path = mkOption {
      type = types.listOf types.package;
      default = [ ];
      example = lib.literalExpression "[ pkgs.nodejs pkgs.bash pkgs.uv ]";
      description = "Packages whose programs servers are started with by their names.";
    };
    settings = mkOption {
      type = types.submodule { freeformType = json.type; };
      default = { };
      example.mcpServers.time.command = "mcp-server-time";
      description = ''
        The configuration file. It ends up in the world-readable store, so secrets are only referred to, as
        `''${file:/path}`. `mcpo check` reads it when it is built.
      '';
    };
  };

  config = lib.mkIf cfg.enable {
    home.packages = [ cfg.package ];
    systemd.user.services.mcpo = {
      Unit.Description = "MCP gateway";
      Install.WantedBy = [ "default.target" ];
      Service = {
        Type = "notify";
        Environment = "PATH=${lib.makeBinPath (cfg.path ++ [ pkgs.coreutils ])}";
        ExecStart = "${lib.getExe' cfg.package "mcpo"} --config ${checked}";
        Restart = "always";
        RestartSec = 3;
        WatchdogSec = 30;
        KillMode = "mixed";
        TimeoutStopSec = 45;
        StateDirectory = "mcpo";
        StateDirectoryMode = "0700";
        LimitCORE = 0;
        NoNewPrivileges = true;
        UMask = "0077";
      };
    };
  };
}
