# What is recorded in tests/appliance/units: for each of these configurations the units of the gateway and of its
# servers, its configuration file, the directories that they expect, and the store paths to put programs at.
let
  evaluate = import ./evaluate.nix;
  lib = import ./stand-in/lib.nix;
  system.system.stateVersion = "26.05";

  # Triggers tell a switch what to do; their text hangs on how a store path is computed, and systemd skips them.
  isTrigger =
    line: lib.hasPrefix "X-Restart-Triggers=" line || lib.hasPrefix "X-Reload-Triggers=" line;
  lines =
    text: builtins.filter (line: builtins.isString line && line != "") (builtins.split "\n" text);
  recorded =
    text:
    lib.concatMapStrings (line: "${line}\n") (builtins.filter (line: !isTrigger line) (lines text));

  ours = name: _: lib.hasPrefix "mcpo" name;
  # What the units of this configuration name in the store.
  storePaths =
    text:
    map (match: builtins.head match) (
      builtins.filter builtins.isList (builtins.split "(/nix/store/[0-9a-z]{32}-[^/\": ]+)" text)
    );

  files =
    modules:
    let
      evaluated = evaluate (modules ++ [ system ]);
      units = builtins.mapAttrs (_: recorded) (lib.filterAttrs ours evaluated.units);
      unique = lib.genAttrs (builtins.concatMap storePaths (builtins.attrValues units)) (_: null);
      # Those of the gateway's own module; a host has rules of its own besides.
      inherit (evaluated.config.systemd.tmpfiles) rules;
    in
    if evaluated.failed != [ ] then
      throw (builtins.concatStringsSep "\n" evaluated.failed)
    else
      units
      // {
        "config.json" = builtins.toJSON evaluated.config.services.mcpo.configData + "\n";
        "store-paths" = lib.concatMapStrings (path: "${path}\n") (builtins.attrNames unique);
        "tmpfiles.conf" = lib.concatMapStrings (rule: "${rule}\n") rules;
      };
in
{
  miranda = files [ ../../nix/hosts/miranda.nix ];
  isolation = files [ ../../nix/tests/common/isolation.nix ];
  example = files [ ../../nix/example.nix ];
}
