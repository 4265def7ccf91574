# Servers that npx and uvx fetch start in their sandbox, from what their units name alone.
import ./layouts/runners.nix
