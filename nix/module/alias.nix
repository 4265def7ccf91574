# `services.mcpo` as another name of `services.mcpo-gateway`, for those that have it from an earlier version. It is a module
# of its own, since other flakes have a `services.mcpo` as well.
{ lib, ... }:
{
  imports = [
    (lib.mkAliasOptionModule [ "services" "mcpo" ] [ "services" "mcpo-gateway" ])
  ];
}
