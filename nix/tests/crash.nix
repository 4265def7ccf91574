# A server that is killed comes back, and no other server notices.
import ./layouts/isolation.nix
