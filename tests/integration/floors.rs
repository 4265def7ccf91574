//! Imports hold to the floors of `src/lib.rs`, and no file outgrows its reader.

use std::path::{Path, PathBuf};

use crate::support::provisioned::root;

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
    ("upstream", 2),
    ("config", 1),
    ("compute", 0),
    ("file", 0),
    ("json", 0),
    ("protocol", 0),
    ("room", 0),
    ("shares", 0),
    ("telemetry", 0),
    ("metrics", 0),
    ("shutdown", 0),
    ("trace", 0),
    ("systemd", 0),
];

const LONGEST_FILE: usize = 400;

fn floor_of(module: &str) -> Option<u8> {
    FLOORS.iter().find(|(name, _)| *name == module).map(|(_, floor)| *floor)
}

/// Every Rust file below `folder`.
fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

fn sources() -> Vec<PathBuf> {
    let mut found = Vec::new();
    files(&root().join("src"), &mut found);
    assert!(found.len() > 10, "the sources were not found");
    found
}

/// The top-level module that a file belongs to: `src/http/auth.rs` is `http`.
fn module_of(path: &Path) -> String {
    let inside = path.strip_prefix(root().join("src")).unwrap();
    let first = inside.components().next().unwrap().as_os_str().to_string_lossy().into_owned();
    first.trim_end_matches(".rs").to_owned()
}

/// The top-level modules that a text names after `crate::` (`mcpo::` in `main.rs`), also in `crate::{a, b}`.
fn named(text: &str) -> Vec<String> {
    let mut names = Vec::new();
    for line in text.lines().map(str::trim).filter(|line| !line.starts_with("//")) {
        for prefix in ["crate::", "mcpo::"] {
            for (at, _) in line.match_indices(prefix) {
                let before = line[..at].chars().next_back();
                if before.is_some_and(|character| {
                    character.is_alphanumeric() || character == '_' || character == '$'
                }) {
                    continue;
                }
                let rest = &line[at + prefix.len()..];
                let list = rest.strip_prefix('{').map_or(rest, |list| list.split('}').next().unwrap_or(list));
                let heads = if rest.starts_with('{') { list.split(',').collect() } else { vec![list] };
                for head in heads {
                    let head = head.trim();
                    let end = head.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(head.len());
                    names.push(head[..end].to_owned());
                }
            }
        }
    }
    names
}

/// The imports of `module` in `text` that the floors forbid.
fn forbidden(module: &str, text: &str) -> Vec<String> {
    let own = floor_of(module).unwrap_or(7);
    // The top floor is one house: `main` runs what `cli` read.
    let allowed = |name: &str| {
        name == module || floor_of(name).is_none_or(|floor| floor < own || (module == "main" && floor == own))
    };
    named(text).into_iter().filter(|name| !allowed(name)).collect()
}

#[test]
fn imports_go_down_the_floors_only() {
    let mut faults = Vec::new();
    for path in sources() {
        let module = module_of(&path);
        if module == "lib" {
            continue;
        }
        let known = floor_of(&module).is_some();
        assert!(known, "{module} stands on no floor: put it into the table of src/lib.rs and of this test");
        let text = std::fs::read_to_string(&path).unwrap();
        let names = forbidden(&module, &text);
        faults.extend(names.iter().map(|name| format!("{}: {module} imports {name}", path.display())));
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
    assert!(forbidden("config", "// crate::app is above").is_empty());
}

#[test]
fn no_source_file_passes_four_hundred_lines() {
    let long = sources().into_iter().filter_map(|path| {
        let lines = std::fs::read_to_string(&path).unwrap().lines().count();
        (lines > LONGEST_FILE).then(|| format!("{}: {lines} lines", path.display()))
    });
    let long: Vec<String> = long.collect();
    assert!(long.is_empty(), "split:\n{}", long.join("\n"));
}

#[test]
fn nothing_blocks_in_place() {
    for file in sources() {
        let text = std::fs::read_to_string(&file).unwrap();
        let why = "it panics outside a runtime of many threads; `compute` is for long work";
        assert!(!text.contains("block_in_place"), "{}: {why}", file.display());
    }
}

#[test]
fn every_module_says_first_what_it_is_for() {
    for path in sources().into_iter().filter(|path| !path.ends_with("tests.rs")) {
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("//! "), "{} does not open with `//!`", path.display());
    }
}
