# Memory as systemd writes it. A text that it cannot read would be no limit at all.
{ lib }:

lib.types.strMatching "[1-9][0-9]*([.][0-9]+)?[KMGT]|[1-9][0-9]?%|100%|infinity"
// {
  description = "size such as 512M or 2G, or part of the machine's memory such as 25%, or infinity for no limit";
}
