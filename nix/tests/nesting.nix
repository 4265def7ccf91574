# Where a container's image takes credentials and isolation away, the units refuse to run and say what to set.
import ./layouts/isolation.nix
