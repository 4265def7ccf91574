# All thirteen servers are ready, and each secret arrived exactly where it belongs.
import ./layouts/ouranos.nix
