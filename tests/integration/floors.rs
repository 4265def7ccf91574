//! Imports hold to the floors of `src/lib.rs`, and no file outgrows its reader.

mod circles;
mod comments;
mod names;
mod source;

use crate::support::provisioned::root;
use source::{imported_paths, sources, tokens};

/// The table of `src/lib.rs`; siblings on floors 5 and 4 never import each other.
const FLOORS: &[(&str, u8)] = &[
    ("main", 7),
    ("cli", 7),
    ("app", 6),
    ("rest", 5),
    ("mcp", 5),
    ("web", 5),
    ("signin", 5),
    ("openai", 5),
    ("gateway", 4),
    ("http", 4),
    ("catalog", 3),
    ("issuer", 3),
    ("authorization_server", 3),
    ("upstream", 2),
    ("config", 1),
    ("memory_budget", 1),
    ("shared_store", 1),
    ("compute", 0),
    ("file", 0),
    ("json", 0),
    ("protocol", 0),
    ("seal", 0),
    ("shares", 0),
    ("sync", 0),
    ("telemetry", 0),
    ("metrics", 0),
    ("shutdown", 0),
    ("trace", 0),
    ("systemd", 0),
    ("unix_time", 0),
];

const LONGEST_FILE: usize = 400;

fn floor_of(module: &str) -> Option<u8> {
    FLOORS.iter().find(|(name, _)| *name == module).map(|(_, floor)| *floor)
}

/// The imports of `module` in `text` that the floors forbid.
fn forbidden(module: &str, text: &str) -> Vec<String> {
    let own = floor_of(module).unwrap_or(7);
    // The top floor is one house: `main` runs what `cli` read.
    let allowed = |name: &str| {
        name == module || floor_of(name).is_none_or(|floor| floor < own || (module == "main" && floor == own))
    };
    let tokens = tokens(text);
    let is_ours = |path: &Vec<&str>| matches!(path.first(), Some(&("crate" | "mcpo")));
    let rooms = imported_paths(&tokens).into_iter().filter(is_ours).filter_map(|path| path.get(1).copied());
    rooms.filter(|name| !allowed(name)).map(str::to_owned).collect()
}

#[test]
fn imports_go_down_the_floors_only() {
    let mut faults = Vec::new();
    // The build script is a program of its own.
    for source in sources().iter().filter(|source| !["lib", "link/build"].contains(&&*source.module)) {
        let room = source.room();
        let known = floor_of(room).is_some();
        assert!(known, "{room} stands on no floor: put it into the table of src/lib.rs and of this test");
        let names = forbidden(room, &source.text);
        faults.extend(names.iter().map(|name| format!("{}: {room} imports {name}", source.path.display())));
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn the_table_is_the_one_in_the_crates_documentation() {
    let text = std::fs::read_to_string(root().join("src/lib.rs")).unwrap();
    for (name, floor) in FLOORS {
        let line = text.lines().find(|line| line.starts_with(&format!("//! {floor}  ")));
        let line = line.unwrap_or_else(|| panic!("src/lib.rs has no floor {floor}"));
        assert!(line.contains(name), "src/lib.rs does not put {name} on floor {floor}: {line}");
    }
}

#[test]
fn a_downward_import_passes_and_an_upward_or_sideways_one_does_not() {
    assert!(forbidden("rest", "use crate::gateway::Call;\nuse crate::{catalog, rest};").is_empty());
    assert_eq!(forbidden("upstream", "use crate::gateway::Call;"), ["gateway"]);
    assert!(forbidden("main", "use mcpo::{app, cli};").is_empty());
    assert_eq!(forbidden("app", "use crate::cli::Cli;"), ["cli"]);
    assert_eq!(forbidden("gateway", "let x = crate::http::Answer;"), ["http"]);
    assert_eq!(forbidden("config", "use crate::{secret, upstream::Peer};"), ["upstream"]);
    assert_eq!(forbidden("config", "use crate::{\n    config::{A, B},\n    app::C,\n};"), ["app"]);
    assert!(forbidden("config", "// crate::app is above").is_empty());
}

#[test]
fn no_source_file_passes_four_hundred_lines() {
    let long = sources().into_iter().filter_map(|source| {
        let lines = source.text.lines().count();
        (lines > LONGEST_FILE).then(|| format!("{}: {lines} lines", source.path.display()))
    });
    let long: Vec<String> = long.collect();
    assert!(long.is_empty(), "split:\n{}", long.join("\n"));
}

#[test]
fn nothing_blocks_in_place() {
    for source in sources() {
        let why = "it panics outside a runtime of many threads; `compute` is for long work";
        assert!(!source.text.contains("block_in_place"), "{}: {why}", source.path.display());
    }
}

#[test]
fn every_module_says_first_what_it_is_for() {
    for source in sources().iter().filter(|source| !source.path.ends_with("tests.rs")) {
        assert!(source.text.starts_with("//! "), "{} does not open with `//!`", source.path.display());
    }
}
