# The documentation of every option of `services.mcpo-gateway`, as Markdown. An option without a description is an error.
let
  lib = import ./stand-in/lib.nix;
  inherit (import ./evaluate.nix [ { system.stateVersion = "26.05"; } ]) options;

  literal =
    value:
    if builtins.isAttrs value && value._type or null == "literalExpression" then
      value.text
    else if
      value == null || builtins.isBool value || builtins.isInt value || builtins.isString value
    then
      builtins.toJSON value
    else if builtins.isList value then
      "[ ${lib.concatMapStrings (item: "${literal item} ") value}]"
    else
      "{ ${
        lib.concatMapStrings (
          name: "${lib.strings.escapeNixIdentifier name} = ${literal value.${name}}; "
        ) (builtins.attrNames value)
      }}";

  # Of a type like `attrsOf (submodule ..)` the options inside, with the path on which they stand.
  inside =
    path: type:
    if type ? inner then
      inside (path ++ [ "NAME" ]) type.inner
    else if type ? choices then
      builtins.concatMap (inside path) type.choices
    else if type ? module then
      tree path
        (lib.evalModules {
          modules = [ type.module ];
          prefix = path;
          specialArgs.name = "NAME";
        }).options
    else
      [ ];

  tree =
    path: options:
    builtins.concatMap (
      name:
      let
        option = options.${name};
        here = path ++ [ name ];
      in
      if option._type or null != "option" then
        tree here option
      else if option.internal or false then
        [ ]
      else
        [
          {
            name = builtins.concatStringsSep "." here;
            inherit option;
          }
        ]
        ++ inside here option.type
    ) (builtins.attrNames options);

  entry =
    { name, option }:
    let
      description = option.description or (throw "the option ${name} has no description");
      default = option.defaultText or (option.default or null);
    in
    builtins.concatStringsSep "\n" (
      [
        "## `${name}`"
        ""
        (trimmed description)
        ""
        "- type: ${option.type.description}"
      ]
      ++ lib.optional (option ? default) "- default: `${flat (literal default)}`"
      ++ lib.optional (option ? example) "- example: `${flat (literal option.example)}`"
    )
    + "\n";
  trimmed = text: builtins.head (builtins.match "(.*[^\n])\n*" text);
  # One line, since it stands in an item of a list.
  flat =
    text:
    builtins.concatStringsSep " " (
      builtins.filter (part: builtins.isString part && part != "") (builtins.split "[ \n]+" text)
    );
in
''
  # Options of `services.mcpo-gateway`

  Written by `tests/nix/run --write`; do not edit.

''
+ builtins.concatStringsSep "\n" (
  map entry (tree [ "services" "mcpo-gateway" ] options.services.mcpo-gateway)
)
