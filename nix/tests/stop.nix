# A stop drains: calls in flight are answered, and nothing is left behind.
import ./layouts/isolation.nix
