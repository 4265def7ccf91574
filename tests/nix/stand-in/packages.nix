# The packages of nixpkgs that this repository names. Each is a derivation that could never be built, at a path that
# never changes, so that what is rendered from them can be recorded.
{ lib, system }:

let
  # 32 characters, as in a store path.
  placeholder = "00000000000000000000000000000000";
  storePath = name: "/nix/store/${placeholder}-${name}";

  package =
    name: attributes:
    {
      type = "derivation";
      inherit name system;
      version = "0";
      outPath = storePath name;
      inherit
        (derivation {
          inherit name system;
          builder = "/bin/sh";
        })
        drvPath
        ;
      meta = {
        mainProgram = name;
      }
      // attributes.meta or { };
      overrideAttrs = change: package name (attributes // change attributes);
      nativeBuildInputs = [ ];
    }
    // removeAttrs attributes [ "meta" ];

  named = lib.genAttrs [
    "bash"
    "cacert"
    "cargo"
    "cargo-nextest"
    "chromedriver"
    "chromium"
    "clippy"
    "context7-mcp"
    "coreutils"
    "deadnix"
    "findutils"
    "gnugrep"
    "gnused"
    "installShellFiles"
    "makeWrapper"
    "mcp-server-memory"
    "mcp-server-time"
    "nixfmt"
    "nixfmt-tree"
    "nodejs"
    "openssl"
    "rust-analyzer"
    "rustc"
    "rustfmt"
    "systemd"
    "tzdata"
    "uv"
  ] (name: package name { });

  pkgs = named // {
    inherit lib system;
    python3 = package "python3" {
      withPackages =
        choose:
        builtins.seq (builtins.length (choose {
          mcp = named.mcp-server-time;
        })) pkgs.python3;
    };
    stdenv = {
      hostPlatform = {
        inherit system;
        isLinux = true;
      };
      buildPlatform.canExecute = _: true;
    };
    callPackage =
      file: overrides:
      let
        build = if builtins.isFunction file then file else import file;
      in
      build (
        builtins.intersectAttrs (builtins.functionArgs build) (pkgs // { inherit lib; }) // overrides
      );
    formats.json = _: {
      inherit (lib.types.json) description;
      type = lib.types.json;
      generate = name: value: pkgs.writeText name (builtins.toJSON value);
    };
    # The path hangs on the text, and so does the derivation: whoever asks for either evaluates the text.
    writeText =
      name: text:
      let
        plain = builtins.unsafeDiscardStringContext text;
      in
      package name {
        outPath = builtins.unsafeDiscardStringContext (builtins.toFile name plain);
        inherit text;
        inherit
          (derivation {
            inherit name system;
            builder = "/bin/sh";
            text = plain;
          })
          drvPath
          ;
      };
    # A folder with one file, which is told beside it.
    writeTextDir = path: text: package (baseNameOf path) { file = { inherit path text; }; };
    writeShellScript = pkgs.writeText;
    runCommand =
      name: attributes: script:
      package name (
        attributes
        // {
          inherit script;
          outPath = builtins.seq (builtins.stringLength script) (storePath name);
        }
      );
    # The text is what the real one makes of it.
    writeShellApplication =
      {
        name,
        text,
        runtimeInputs ? [ ],
        ...
      }@attributes:
      package name (
        attributes
        // {
          text = "#!/usr/bin/env bash\nset -euo pipefail\nexport PATH=${lib.makeBinPath runtimeInputs}:$PATH\n${text}";
        }
      );
    dockerTools = {
      binSh = package "bin-sh" { };
      usrBinEnv = package "usr-bin-env" { };
      fakeNss.override = lines: package "fake-nss" lines;
      buildLayeredImage =
        { name, contents, ... }@attributes:
        package name (builtins.deepSeq (map toString contents) attributes);
    };
    linkFarm =
      name: parts: package name (builtins.deepSeq (lib.mapAttrsToList (_: toString) parts) { });
    symlinkJoin = { name, ... }@attributes: package name attributes;
    mkShell = attributes: package "shell" attributes;
    # Takes a function of the package that comes out, too.
    rustPlatform.buildRustPackage =
      given:
      let
        attributes = if builtins.isFunction given then given { finalPackage = built; } else given;
        inherit (attributes)
          cargoLock
          pname
          version
          src
          ;
        # Both are read, as the real function does.
        built = builtins.seq (builtins.pathExists "${toString src}/Cargo.toml") builtins.seq (fromTOML (
          builtins.readFile cargoLock.lockFile
        )) (package "${pname}-${version}" attributes);
      in
      built;
    testers.testVersion = { package }: pkgs.writeText "version" package.version;
    testers.runNixOSTest = test: import ./virtual-machine-test.nix { inherit lib pkgs test; };
  };
in
pkgs
