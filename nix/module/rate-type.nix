# The type of `rate`: how many calls in how much time.
{ lib }:

let
  inherit (lib) mkOption types;

  # The gateway knows these, too: src/config/rate.rs.
  short =
    types.strMatching "[ ]*0*[1-9][0-9]*[ ]*/[ ]*(s|sec|second|m|min|minute|h|hour|d|day|week)[ ]*"
    // {
      description = "rate such as 60/min (or /s, /h, /day)";
    };
in
types.nullOr (
  types.either short (
    types.submodule {
      options = {
        calls = mkOption {
          type = types.ints.positive;
          example = 60;
          description = "Calls in the time of `per`. They come free evenly, one each `per / calls`.";
        };
        per = mkOption {
          type = types.numbers.positive;
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
