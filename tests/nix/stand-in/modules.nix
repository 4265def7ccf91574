# A small module system with the semantics of nixpkgs' that this repository relies on: imports, nested options,
# `mkIf` that is pushed down to the options it touches, `mkMerge`, priorities, submodules and freeform types. An
# option that nobody declared, and a definition of the wrong type, are errors.
{ lib }:

let
  inherit (builtins)
    attrNames
    concatLists
    concatMap
    concatStringsSep
    elem
    filter
    foldl'
    functionArgs
    intersectAttrs
    isAttrs
    isFunction
    listToAttrs
    map
    ;
  typed = kind: value: isAttrs value && value._type or null == kind;
  show = concatStringsSep ".";
in
rec {
  literalExpression = text: {
    _type = "literalExpression";
    inherit text;
  };
  mkOption = attributes: attributes // { _type = "option"; };
  mkEnableOption =
    what:
    mkOption {
      type = lib.types.bool;
      default = false;
      example = true;
      description = "Whether to enable ${what}.";
    };
  mkIf = condition: content: {
    _type = "if";
    inherit condition content;
  };
  mkMerge = contents: {
    _type = "merge";
    inherit contents;
  };
  mkOverride = priority: content: {
    _type = "override";
    inherit priority content;
  };
  mkDefault = mkOverride 1000;
  mkForce = mkOverride 50;

  # What was said of `from` counts for `to`, and whoever asks for `from` gets `to`. Both are paths.
  mkAliasOptionModule =
    from: to:
    { config, options, ... }:
    {
      options = nested from (mkOption {
        type = lib.types.anything;
        description = "Alias of `${show to}`.";
        apply = _: at to config;
      });
      config = nested to (mkMerge (at from options).definitions);
    };
  nested = path: value: lib.foldr (name: inner: { ${name} = inner; }) value path;
  at = path: set: foldl' (inner: name: inner.${name}) set path;

  # The definitions of the member `name` in a definition of a set; conditions are kept, not asked.
  member =
    name: definition:
    if typed "if" definition then
      map (mkIf definition.condition) (member name definition.content)
    else if typed "merge" definition then
      concatMap (member name) definition.contents
    else if typed "override" definition then
      map (mkOverride definition.priority) (member name definition.content)
    else if isAttrs definition && definition ? ${name} then
      [ definition.${name} ]
    else
      [ ];

  # The plain values behind conditions and merges, with their priorities.
  discharge =
    priority: definition:
    if typed "if" definition then
      if definition.condition then discharge priority definition.content else [ ]
    else if typed "merge" definition then
      concatMap (discharge priority) definition.contents
    else if typed "override" definition then
      discharge definition.priority definition.content
    else
      [
        {
          inherit priority;
          value = definition;
        }
      ];

  # The values that count: those of the strongest priority.
  values =
    definitions:
    let
      all = concatMap (discharge 100) definitions;
      strongest = foldl' (least: one: if one.priority < least then one.priority else least) 9999 all;
    in
    map (one: one.value) (filter (one: one.priority == strongest) all);

  evalModules =
    {
      modules,
      specialArgs ? { },
      prefix ? [ ],
    }:
    let
      arguments = {
        inherit lib;
        # The tree before the check for undeclared options, since that check asks what modules define.
        inherit (tree) config options;
      }
      // specialArgs;

      load =
        module:
        let
          opened = if isAttrs module || isFunction module then module else import module;
          wanted = functionArgs opened;
          body =
            if isFunction opened then
              opened (if wanted == { } then arguments else intersectAttrs wanted arguments)
            else
              opened;
          structured = body ? options || body ? config;
          own = {
            options = body.options or { };
            config =
              if structured then
                body.config or { }
              else
                removeAttrs body [
                  "imports"
                  "freeformType"
                ];
            freeform = body.freeformType or null;
          };
          strange = filter (
            key:
            !(elem key [
              "options"
              "config"
              "imports"
              "freeformType"
            ])
          ) (attrNames body);
        in
        if structured && strange != [ ] then
          throw "a module has ${show strange} beside `options` and `config`"
        else
          [ own ] ++ concatMap load (body.imports or [ ]);

      loaded = concatMap load modules;
      declarations = map (module: module.options) loaded;
      definitions = map (module: module.config) loaded;
      freeforms = filter (type: type != null) (map (module: module.freeform) loaded);

      # One level of the tree of options: what was declared, and the rest, which only a freeform type takes.
      level =
        path: declared: defined:
        let
          names = attrNames (foldl' (all: one: all // one) { } declared);
          of = name: concatMap (set: if set ? ${name} then [ set.${name} ] else [ ]) declared;
          one =
            name:
            let
              here = of name;
              given = concatMap (member name) defined;
              options = filter (typed "option") here;
            in
            if options != [ ] then
              option (path ++ [ name ]) options given
            else
              level (path ++ [ name ]) here given;
          results = listToAttrs (
            map (name: {
              inherit name;
              value = one name;
            }) names
          );
          given = values defined;
          extra = filter (name: !(elem name names)) (
            concatLists (map (set: if isAttrs set then attrNames set else [ ]) given)
          );
        in
        {
          config =
            builtins.mapAttrs (_: result: result.config) results
            // (
              if path == prefix && freeforms != [ ] then
                (builtins.head freeforms).merge path (map (set: removeAttrs set names) given)
              else
                { }
            );
          options = builtins.mapAttrs (_: result: result.options) results;
          # Forced once, at the end: names of definitions may hang on the configuration itself.
          undeclared =
            (if path == prefix && freeforms != [ ] then [ ] else map (name: show (path ++ [ name ])) extra)
            ++ concatLists (map (name: results.${name}.undeclared) names);
        };

      option =
        path: options: given:
        let
          attributes = foldl' (all: one: all // one) { } options;
          type = attributes.type or lib.types.anything;
          found = values given;
          value =
            if found != [ ] then
              lib.types.checked type path found
            else if attributes ? default then
              # Defaults are checked as well.
              lib.types.checked type path [ attributes.default ]
            else
              type.empty or (throw "The option `${show path}' was accessed but has no value defined.");
        in
        {
          config = if attributes ? apply then attributes.apply value else value;
          options = attributes // {
            inherit path;
            definitions = given;
          };
          undeclared = [ ];
        };

      tree = level prefix declarations definitions;
    in
    {
      inherit (tree) options;
      config =
        if tree.undeclared == [ ] then
          tree.config
        else
          throw "The option `${builtins.head tree.undeclared}' does not exist.";
    };
}
