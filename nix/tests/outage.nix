# A server that is down is named with its reason, comes back by itself, and no other one notices.
import ./layouts/ouranos.nix
