# What MCP clients are shown of the servers that their key opens.
{ lib, ... }:

let
  inherit (lib) mkOption types;
  profile = types.submodule {
    options = {
      servers = mkOption {
        type = types.nullOr (types.listOf types.str);
        default = null;
        example = [
          "time"
          "git*"
        ];
        description = "Servers that are shown, as names with `*` and `?`; `null` shows all that the key opens.";
      };
      tools = mkOption {
        type = types.nullOr (types.listOf types.str);
        default = null;
        example = [ "time_*" ];
        description = "Tools that are shown, as `/mcp` names them (`SERVER_TOOL`), with `*` and `?`; `null` shows all.";
      };
    };
  };
in
{
  options.services.mcpo-gateway = {
    profiles = mkOption {
      type = types.attrsOf profile;
      default = { };
      example = {
        vscode = {
          servers = [
            "time"
            "git*"
          ];
          tools = [ "time_*" ];
        };
      };
      description = ''
        What MCP clients are shown of the servers that their key opens, by name: chosen by `/mcp?profile=NAME`, or by
        `apiKeys.NAME.profile`. A profile narrows what a key opens, and never widens it.
      '';
    };
  };
}
