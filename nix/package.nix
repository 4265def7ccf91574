# The gateway alone. `Cargo.lock` is the only source of hashes, and only what cargo reads is in the source, so
# that an edit of the README at the top or of these files rebuilds nothing.
{
  lib,
  python3,
  rustPlatform,
}:

let
  manifest = (lib.importTOML ../Cargo.toml).package;
in
rustPlatform.buildRustPackage {
  pname = manifest.name;
  inherit (manifest) version;

  src = lib.fileset.toSource {
    root = ../.;
    fileset = lib.fileset.unions [
      ../Cargo.toml
      ../Cargo.lock
      ../src
      # The examples that the manifest names live here; cargo refuses a manifest whose targets are missing.
      ../tests/bench
      # What the units are denied, which `mcpo units` writes, too.
      ./module/hardening.json
      # Pages of the manual, which a unit test holds to the program.
      ./man
      # A unit test reads its table of tools.
      ../tests/servers/quirk_server.py
    ];
  };

  cargoLock.lockFile = ../Cargo.lock;
  cargoBuildFlags = [ "--bin=mcpo" ];

  # The integration tests start Python and Node servers that tests/run installs; the sandbox has no network.
  cargoTestFlags = [
    "--lib"
    "--bins"
  ];
  nativeCheckInputs = [ python3 ];

  meta = {
    inherit (manifest) description;
    license = lib.licenses.mit;
    mainProgram = manifest.name;
    platforms = lib.platforms.linux;
  };
}
