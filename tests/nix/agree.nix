# What differs between the units that the stand-in renders and those of nixpkgs' own lib and NixOS's own systemd module;
# empty when nothing does. Left out is what other modules of NixOS add to every unit, and what only a switch reads.
{ nixpkgsLib, nixos }:

let
  lib = import ./stand-in/lib.nix;
  standIn = import ./evaluate.nix;
  real = import ./evaluate-real.nix { inherit nixpkgsLib nixos; };
  layouts = import ../../nix/tests/layouts;
  nodes = builtins.foldl' (all: some: all // some) { } (
    lib.mapAttrsToList (
      layout: definition:
      lib.mapAttrs' (node: module: lib.nameValuePair "${layout}/${node}" module) definition.nodes
    ) layouts
  );
  configurations = nodes // {
    host = ../../nix/hosts/miranda.nix;
  };

  ignored = [
    "X-Restart-Triggers="
    "X-Reload-Triggers="
    "Environment=\"LOCALE_ARCHIVE="
    "Environment=\"TZDIR="
    # Written as a link by older years.
    "[Install]"
    "WantedBy="
  ];
  counts =
    line:
    builtins.isString line && line != "" && !builtins.any (prefix: lib.hasPrefix prefix line) ignored;
  isOurs = unit: lib.hasPrefix "mcpo" unit || lib.hasPrefix "stand-in" unit;
  lines = text: builtins.filter counts (builtins.split "\n" text);

  compare =
    name: file:
    let
      modules = [
        file
        { system.stateVersion = "26.05"; }
      ];
      ours = standIn modules;
      theirs = real modules;
      units = builtins.attrNames (lib.filterAttrs (unit: _: isOurs unit) (ours.units // theirs.units));
      # A revision is the hash of a unit's text, of which the lines that count are compared by themselves.
      withoutRevision =
        data:
        data
        // {
          mcpServers = builtins.mapAttrs (_: entry: removeAttrs entry [ "revision" ]) data.mcpServers;
        };
      gateway =
        side:
        if side.config.services.mcpo-gateway.enable then
          withoutRevision side.config.services.mcpo-gateway.configData
        else
          null;
      differs = unit: lines (ours.units.${unit} or "") != lines (theirs.units.${unit} or "");
    in
    map (unit: "${name}: ${unit}") (builtins.filter differs units)
    ++ lib.optional (gateway ours != gateway theirs) "${name}: config.json"
    ++ map (message: "${name}: ${message}") (ours.failed ++ theirs.failed);
in
builtins.concatLists (lib.mapAttrsToList compare configurations)
# The table of mistakes means the same there.
++
  map (case: "not refused as it should be: ${case}")
    (import ./misuse.nix { evaluate = real; }).wrong
