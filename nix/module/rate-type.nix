# The type of `rate`: how many calls in how much time. What no type can say, assertions.nix does.
{ lib }:

let
  inherit (lib) mkOption types;
in
types.nullOr (
  types.either types.str (
    types.submodule {
      options = {
        calls = mkOption {
          type = types.ints.positive;
          example = 60;
          description = "Calls in the time of `per`. They come free evenly, one each `per / calls`.";
        };
        per = mkOption {
          type = types.number;
          example = 60;
          description = "That time, in seconds.";
        };
        burst = mkOption {
          type = types.nullOr types.ints.positive;
          default = null;
          example = 10;
          description = "How many calls may be saved up and made at once; `null` for all of `calls`.";
        };
      };
    }
  )
)
