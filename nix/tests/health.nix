# The health check of miranda, and its restart play.
import ./layouts/isolation.nix
