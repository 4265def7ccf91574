# The README's configuration gives a running gateway.
import ./layouts/example.nix
