//! `src/link/used.txt` names functions of this program, which release builds put side by side.

use std::collections::HashSet;
use std::process::Command;

use crate::support::provisioned::root;

/// The file is written anew (`tests/bench/used`) when more than one name in ten is that of no function any more.
const NAMES_IN_TEN: usize = 9;

#[test]
fn nearly_all_names_of_used_functions_are_those_of_functions() {
    let names = std::fs::read_to_string(root().join("src/link/used.txt")).unwrap();
    let own: Vec<&str> = names.lines().filter(|name| name.starts_with("_ZN4mcpo")).collect();
    assert!(own.len() > 300 && names.lines().is_sorted(), "{} names", own.len());
    let listed = Command::new("nm").arg(env!("CARGO_BIN_EXE_mcpo")).output().unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    let without_hash = |name: &str| name.rfind("17h").map(|end| format!("{}*", &name[..end + 3]));
    let functions: HashSet<String> =
        listed.lines().filter_map(|line| without_hash(line.rsplit(' ').next()?)).collect();
    let unknown: Vec<_> = own.iter().filter(|name| !functions.contains(**name)).collect();
    assert!(
        unknown.len() * 10 <= own.len() * (10 - NAMES_IN_TEN),
        "`tests/bench/used` writes it anew: {unknown:#?}"
    );
}
