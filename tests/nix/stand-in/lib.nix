# The functions of nixpkgs' `lib` that this repository calls, with the meaning that they have there, and no others:
# a call of anything else fails, which is then to be looked up in the real one.
let
  inherit (builtins)
    attrNames
    attrValues
    concatLists
    concatMap
    concatStringsSep
    elem
    elemAt
    filter
    genList
    groupBy
    head
    isAttrs
    isList
    isString
    length
    listToAttrs
    map
    mapAttrs
    match
    replaceStrings
    stringLength
    substring
    ;

  lib = rec {
    inherit
      attrNames
      attrValues
      concatLists
      concatMap
      concatStringsSep
      elem
      filter
      groupBy
      head
      isAttrs
      isList
      isString
      length
      mapAttrs
      replaceStrings
      ;

    foldr =
      step: last: list:
      if list == [ ] then last else step (head list) (foldr step last (builtins.tail list));
    last = list: elemAt list (length list - 1);
    boolToString = value: if value then "true" else "false";
    optional = condition: value: if condition then [ value ] else [ ];
    optionals = condition: list: if condition then list else [ ];
    optionalString = condition: text: if condition then text else "";
    optionalAttrs = condition: set: if condition then set else { };

    nameValuePair = name: value: { inherit name value; };
    genAttrs = names: build: listToAttrs (map (name: nameValuePair name (build name)) names);
    filterAttrs = keep: set: removeAttrs set (filter (name: !keep name set.${name}) (attrNames set));
    mapAttrs' = build: set: listToAttrs (map (name: build name set.${name}) (attrNames set));
    mapAttrsToList = build: set: map (name: build name set.${name}) (attrNames set);

    concatStrings = concatStringsSep "";
    concatMapStrings = build: list: concatStrings (map build list);
    imap1 = build: list: genList (index: build (index + 1) (elemAt list index)) (length list);
    stringToCharacters = text: genList (index: substring index 1 text) (stringLength text);
    hasSuffix =
      suffix: text:
      stringLength suffix <= stringLength text
      && substring (stringLength text - stringLength suffix) (-1) text == suffix;
    removeSuffix =
      suffix: text:
      if hasSuffix suffix text then substring 0 (stringLength text - stringLength suffix) text else text;
    hasPrefix = prefix: text: substring 0 (stringLength prefix) text == prefix;
    hasInfix = infix: text: length (builtins.split (strings.escapeRegex infix) text) > 1;
    removePrefix =
      prefix: text: if hasPrefix prefix text then substring (stringLength prefix) (-1) text else text;
    toLower = replaceStrings (stringToCharacters "ABCDEFGHIJKLMNOPQRSTUVWXYZ") (
      stringToCharacters "abcdefghijklmnopqrstuvwxyz"
    );
    strings = {
      escapeRegex = replaceStrings (stringToCharacters "\\[{()^$?*+|.") (
        map (character: "\\${character}") (stringToCharacters "\\[{()^$?*+|.")
      );
      escapeNixIdentifier =
        name: if match "[a-zA-Z_][a-zA-Z0-9_'-]*" name != null then name else builtins.toJSON name;
    };

    versionAtLeast = version: least: builtins.compareVersions version least >= 0;
    importTOML = file: fromTOML (builtins.readFile file);
    showOption = path: concatStringsSep "." (map strings.escapeNixIdentifier path);
    makeBinPath = packages: concatStringsSep ":" (map (package: "${package}/bin") packages);
    getExe = package: getExe' package package.meta.mainProgram;
    getExe' = package: name: "${package}/bin/${name}";
    licenses.mit.spdxId = "MIT";
    platforms.linux = [
      "x86_64-linux"
      "aarch64-linux"
    ];
    fileset = {
      # A member that is missing is an error there too.
      unions =
        members:
        map (
          member: if builtins.pathExists member then member else throw "${toString member} is missing"
        ) members;
      # The whole folder, with what would be taken of it.
      toSource =
        { root, fileset }:
        builtins.seq (length (map builtins.readFileType fileset)) {
          outPath = toString root;
          members = map toString fileset;
        };
    };

    inherit (modules)
      evalModules
      literalExpression
      mkAliasOptionModule
      mkDefault
      mkEnableOption
      mkForce
      mkIf
      mkMerge
      mkOption
      ;
    types = import ./types.nix { inherit lib modules; };
  };
  modules = import ./modules.nix { inherit lib; };
in
lib
