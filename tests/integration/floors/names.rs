//! One name stands for one type in all of `src/`.

use std::collections::BTreeMap;

use super::source::{sources, tokens, without_tests};

/// The types that a text declares outside of functions and test modules.
fn declared_types(text: &str) -> Vec<String> {
    let tokens = tokens(text);
    let (tokens, _) = without_tests(&tokens);
    let (mut types, mut depth) = (Vec::new(), 0);
    for pair in tokens.windows(2) {
        match pair {
            ["{", _] => depth += 1,
            ["}", _] => depth -= 1,
            ["struct" | "enum" | "trait" | "type", name] if depth == 0 => types.push((*name).to_owned()),
            _ => {}
        }
    }
    types
}

#[test]
fn no_two_types_share_a_name() {
    let mut files: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for source in sources().into_iter().filter(|source| !source.is_test) {
        for name in declared_types(&source.text) {
            files.entry(name).or_default().push(source.module.clone());
        }
    }
    files.retain(|_, files| files.len() > 1);
    let told: String = files.iter().map(|(name, files)| format!("{name}: {files:?}\n")).collect();
    assert!(files.is_empty(), "types that share a name:\n{told}");
}

#[test]
fn types_are_those_of_the_file_itself() {
    let text = "pub struct A<T>(T);\nimpl B for A { type C = u8; }\nenum D { E }\nfn f() { struct G; }\n\
                // struct H;\npub type I = \"struct J\";\n#[cfg(test)]\nmod tests { struct K; }\ntrait L {}";
    assert_eq!(declared_types(text), ["A", "D", "I", "L"]);
}
