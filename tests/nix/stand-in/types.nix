# The types of options that this repository uses. `merge` takes the option's path and the values that count.
{ lib, modules }:

let
  inherit (builtins)
    all
    attrNames
    concatLists
    concatMap
    elem
    head
    isAttrs
    isBool
    isFloat
    isInt
    isList
    isPath
    isString
    length
    listToAttrs
    map
    typeOf
    ;
  show = builtins.concatStringsSep ".";

  wrong =
    path: description: value:
    throw "A definition for option `${show path}' is not of type `${description}'. It is a ${typeOf value}.";

  # As an option does it: the type that refuses is the one that is named.
  checked =
    type: path: values:
    type.merge path (
      map (value: if type.check value then value else wrong path type.description value) values
    );

  same =
    path: values:
    if all (value: value == head values) values then
      head values
    else
      throw "The option `${show path}' has conflicting definition values.";

  # A type of single values.
  plain = description: check: {
    inherit description check;
    merge =
      path: values:
      same path (map (value: if check value then value else wrong path description value) values);
  };

  isPackage = value: isAttrs value && (value.type or null == "derivation" || value ? outPath);

  types = rec {
    inherit checked;
    bool = plain "boolean" isBool;
    int = plain "signed integer" isInt;
    float = plain "floating point number" isFloat;
    number = plain "signed integer or floating point number" (value: isInt value || isFloat value);
    str = plain "string" isString;
    strMatching =
      pattern:
      plain "string matching the pattern ${pattern}" (
        value: isString value && builtins.match pattern value != null
      );
    addCheck = type: check: type // { check = value: type.check value && check value; };
    # nixpkgs has had it since 25.05.
    externalPath = plain "absolute path not in the Nix store" (
      value: path.check value && !(lib.hasPrefix builtins.storeDir (toString value))
    );
    numbers.nonnegative = plain "nonnegative integer or floating point number, meaning >=0" (
      value: number.check value && value >= 0
    );
    numbers.positive = plain "positive integer or floating point number, meaning >0" (
      value: number.check value && value > 0
    );
    path = plain "absolute path" (
      value: isPath value || (isString value && lib.hasPrefix "/" value) || isPackage value
    );
    package = plain "package" isPackage;
    port = plain "16 bit unsigned integer; between 0 and 65535 (both inclusive)" (
      value: isInt value && value >= 0 && value <= 65535
    );
    ints.unsigned = plain "unsigned integer, meaning >=0" (value: isInt value && value >= 0);
    ints.positive = plain "positive integer, meaning >0" (value: isInt value && value > 0);
    enum = members: plain "one of ${builtins.toJSON members}" (value: elem value members);

    lines = str // {
      merge = path: values: builtins.concatStringsSep "\n" (map (value: str.merge path [ value ]) values);
    };

    nullOr = inner: {
      choices = [ inner ];
      description = "null or ${inner.description}";
      check = value: value == null || inner.check value;
      merge = path: values: if all (value: value == null) values then null else inner.merge path values;
    };

    either = left: right: {
      choices = [
        left
        right
      ];
      description = "${left.description} or ${right.description}";
      check = value: left.check value || right.check value;
      merge =
        path: values:
        if all left.check values then
          left.merge path values
        else if all right.check values then
          right.merge path values
        else
          wrong path "${left.description} or ${right.description}" (head values);
    };

    oneOf = choices: builtins.foldl' either (head choices) (builtins.tail choices);

    listOf = inner: {
      choices = [ inner ];
      description = "list of ${inner.description}";
      check = isList;
      empty = [ ];
      merge =
        path: values:
        concatLists (
          map (
            list:
            if isList list then
              map (item: inner.merge path [ item ]) (concatMap (item: modules.values [ item ]) list)
            else
              wrong path "list of ${inner.description}" list
          ) values
        );
    };

    attrsOf = inner: {
      description = "attribute set of ${inner.description}";
      check = isAttrs;
      empty = { };
      inherit inner;
      merge =
        path: values:
        let
          sets = map (
            set: if isAttrs set then set else wrong path "attribute set of ${inner.description}" set
          ) values;
          given = name: modules.values (concatMap (modules.member name) sets);
          names = builtins.filter (name: given name != [ ]) (
            attrNames (builtins.foldl' (known: set: known // set) { } sets)
          );
        in
        listToAttrs (
          map (name: {
            inherit name;
            value = checked inner (path ++ [ name ]) (given name);
          }) names
        );
    };

    # Whatever it is; sets are merged deeply, lists are joined.
    anything = {
      description = "anything";
      check = _: true;
      merge =
        path: values:
        if length values > 1 && all isAttrs values && !isPackage (head values) then
          (attrsOf anything).merge path values
        else if length values > 1 && all isList values then
          concatLists values
        else if isAttrs (head values) && !isPackage (head values) && !(head values) ? _type then
          (attrsOf anything).merge path values
        else
          same path values;
    };

    json = anything // {
      description = "JSON value";
    };

    submodule = module: {
      description = "submodule";
      check = isAttrs;
      empty = { };
      inherit module;
      merge =
        path: values:
        (modules.evalModules {
          modules = [ module ] ++ values;
          prefix = path;
          specialArgs.name = lib.last path;
        }).config;
    };
  };
in
types
