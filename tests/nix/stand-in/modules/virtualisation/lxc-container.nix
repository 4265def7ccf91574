# The real profile makes the system bootable as an Incus container, and an image of it; only the latter's parts are here.
{ pkgs, ... }:
{
  system.build.metadata = pkgs.writeText "metadata" "";
  system.build.squashfs = pkgs.writeText "squashfs" "";
}
