# The units deny what they say they deny.
import ./layouts/isolation.nix
