# The gateway alone. `Cargo.lock` is the only source of hashes, and only what cargo reads is in the source.
{
  installShellFiles,
  lib,
  python3,
  rustPlatform,
  stdenv,
  testers,
  # What `nix flake check` runs of the same package.
  virtualMachineTests ? { },
}:

let
  manifest = (lib.importTOML ../Cargo.toml).package;
in
rustPlatform.buildRustPackage (finalAttrs: {
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
      # Installed as they are.
      ./grafana/mcpo.json
      ./prometheus/mcpo.rules.yml
      ./systemd
    ];
  };

  cargoLock.lockFile = ../Cargo.lock;
  cargoBuildFlags = [ "--bin=mcpo" ];

  # The integration tests start Python and Node servers that tests/run installs; the sandbox has no network.
  # A test build in the release profile would compile everything once more.
  checkType = "debug";
  cargoTestFlags = [
    "--lib"
    "--bins"
  ];
  nativeCheckInputs = [ python3 ];

  nativeBuildInputs = [ installShellFiles ];
  postInstall = ''
    installManPage nix/man/mcpo.1 nix/man/mcpo.json.5
    install -Dm644 -t $out/share/mcpo nix/grafana/mcpo.json nix/prometheus/mcpo.rules.yml
    install -Dm644 -t $out/lib/systemd/system nix/systemd/mcpo.service nix/systemd/mcpo.socket
    substituteInPlace $out/lib/systemd/system/mcpo.service --replace-fail /usr/local/bin/mcpo $out/bin/mcpo
  ''
  # They are written by the program itself, which a cross build cannot run.
  + lib.optionalString (stdenv.buildPlatform.canExecute stdenv.hostPlatform) ''
    $out/bin/mcpo schema > $out/share/mcpo/mcpo.schema.json
    for shell in bash fish zsh; do
      $out/bin/mcpo completions $shell > mcpo.$shell
    done
    installShellCompletion --cmd mcpo --bash mcpo.bash --fish mcpo.fish --zsh mcpo.zsh
  '';

  passthru.tests = {
    version = testers.testVersion { package = finalAttrs.finalPackage; };
  }
  // virtualMachineTests;

  meta = {
    inherit (manifest) description;
    longDescription = ''
      Puts many MCP servers, over standard input and output or over HTTP, behind one port: as REST with an OpenAPI
      document, as MCP, and in the form of OpenAI's tools.
    '';
    license = lib.licenses.mit;
    mainProgram = manifest.name;
    platforms = lib.platforms.linux;
  };
})
