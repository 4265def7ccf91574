# Types that take less than those of nixpkgs. The description of each says what it takes, which is what nix answers to
# anything else, with the name of the option. nixpkgs makes types of submodules anew by `substSubModules`, which would
# lose what is refused.
{ lib }:

let
  inherit (lib) last showOption;
  inherit (lib.types) addCheck;
in
rec {
  # Of `type` the values that `takes` is true of.
  narrow =
    description: takes: type:
    addCheck type takes
    // {
      inherit description;
      substSubModules = modules: narrow description takes (type.substSubModules modules);
    };

  # Elsewhere it is to stay what it is when nothing is said of it.
  onlyWhere =
    condition: where: empty: type:
    narrow "${type.description}, ${where}" (value: condition || value == empty) type;

  # Each member of a set, of which `takes` is told the name, too. It is asked of the merged value, and not before that is
  # wanted.
  named =
    description: takes: type:
    type
    // {
      inherit description;
      substSubModules = modules: named description takes (type.substSubModules modules);
      merge =
        path: definitions:
        let
          value = type.merge path definitions;
        in
        if takes (last path) value then
          value
        else
          throw "A definition for option `${showOption path}' is not of type `${description}'.";
    };
}
