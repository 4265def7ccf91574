# The journal has the fields of each call, and each server's own lines under its own name.
import ./layouts/isolation.nix
