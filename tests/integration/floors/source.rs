//! Rust text as the checks of this folder read it: tokens, comments, and the paths that it imports.

use std::path::{Path, PathBuf};

use crate::support::provisioned::root;

/// One file of `src/`.
pub struct Source {
    pub path: PathBuf,
    /// Its module: `http/auth` is `src/http/auth.rs`.
    pub module: String,
    pub text: String,
    /// Whether it belongs to a test module.
    pub is_test: bool,
}

impl Source {
    /// The top-level module that the file belongs to: that of `src/http/auth.rs` is `http`.
    pub fn room(&self) -> &str {
        self.module.split('/').next().unwrap()
    }
}

/// Every Rust file of `src/`, sorted by module.
pub fn sources() -> Vec<Source> {
    let (folder, mut paths) = (root().join("src"), Vec::new());
    rust_files(&folder, &mut paths);
    assert!(paths.len() > 10, "the sources were not found");
    let source = |path: PathBuf| {
        let module = path.strip_prefix(&folder).unwrap().with_extension("");
        let text = std::fs::read_to_string(&path).unwrap();
        Source { module: module.to_str().unwrap().to_owned(), text, path, is_test: false }
    };
    let mut sources: Vec<Source> = paths.into_iter().map(source).collect();
    sources.sort_by(|left, right| left.module.cmp(&right.module));
    mark_tests(&mut sources);
    sources
}

/// Marks the files of test modules, and those below them.
pub fn mark_tests(sources: &mut [Source]) {
    let tests = |source: &Source| {
        let tokens = tokens(&source.text);
        let (_, names) = without_tests(&tokens);
        names.into_iter().map(|name| format!("{}/{name}", source.module)).collect::<Vec<_>>()
    };
    let tests: Vec<String> = sources.iter().flat_map(tests).collect();
    for source in sources {
        let is_of = |test: &String| {
            source.module.strip_prefix(test).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        source.is_test = tests.iter().any(is_of);
    }
}

fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The tokens of a text without its comments. A literal is one token, and so is `::`.
pub fn tokens(text: &str) -> Vec<&str> {
    pieces(text).filter(|piece| !is_comment(piece)).collect()
}

/// The comments of a text, those of documentation included.
pub fn comments(text: &str) -> impl Iterator<Item = &str> {
    pieces(text).filter(|piece| is_comment(piece))
}

fn is_comment(piece: &str) -> bool {
    piece.starts_with("//") || piece.starts_with("/*")
}

fn pieces(mut text: &str) -> impl Iterator<Item = &str> {
    std::iter::from_fn(move || {
        text = text.trim_start();
        let (piece, rest) = text.split_at(length_of_piece(text));
        text = rest;
        (!piece.is_empty()).then_some(piece)
    })
}

/// The bytes of the token or comment that `text` begins with.
fn length_of_piece(text: &str) -> usize {
    let word = text.find(|c: char| !is_of_word(c)).unwrap_or(text.len());
    let until =
        |from: usize, end: &str| text[from..].find(end).map_or(text.len(), |at| from + at + end.len());
    let raw = text[word..].trim_start_matches('#');
    let mut characters = text.chars();
    match characters.next() {
        Some('/') if text.starts_with("//") => text.find('\n').unwrap_or(text.len()),
        Some('/') if text.starts_with("/*") => until(2, "*/"),
        Some(':') if text.starts_with("::") => 2,
        Some('r' | 'b') if matches!(&text[..word], "r" | "br") && raw.starts_with('"') => {
            let hashes = text.len() - word - raw.len();
            until(word + hashes + 1, &format!("\"{}", "#".repeat(hashes)))
        }
        Some('"') => {
            let mut is_escaped = false;
            let end = text[1..].find(|c| {
                let ends = c == '"' && !is_escaped;
                is_escaped = c == '\\' && !is_escaped;
                ends
            });
            end.map_or(text.len(), |end| end + 2)
        }
        Some('\'') => match (characters.next(), characters.next()) {
            (Some('\\'), Some(escaped)) => until(2 + escaped.len_utf8(), "'"),
            (Some(character), Some('\'')) => 2 + character.len_utf8(),
            // A lifetime.
            _ => 1 + text[1..].find(|c| !is_of_word(c)).unwrap_or(text.len() - 1),
        },
        Some(first) => word.max(first.len_utf8()),
        None => 0,
    }
}

fn is_of_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

/// `tokens` without test modules, and the names of those test modules that are files of their own.
pub fn without_tests<'a>(tokens: &[&'a str]) -> (Vec<&'a str>, Vec<&'a str>) {
    let (mut kept, mut files) = (Vec::new(), Vec::new());
    let mut rest = tokens;
    while let [first, after @ ..] = rest {
        match test_module(rest) {
            Some((name, [";", after @ ..])) => {
                files.push(name);
                rest = after;
            }
            Some((_, body)) => rest = &body[length_of_block(body)..],
            None => {
                kept.push(*first);
                rest = after;
            }
        }
    }
    (kept, files)
}

/// The name of the test module that `tokens` begin with, and what follows the name.
fn test_module<'a, 't>(tokens: &'t [&'a str]) -> Option<(&'a str, &'t [&'a str])> {
    let ["#", "[", "cfg", "(", "test", ")", "]", rest @ ..] = tokens else { return None };
    match rest {
        ["mod", name, rest @ ..] | ["pub", "mod", name, rest @ ..] => Some((name, rest)),
        _ => None,
    }
}

/// The number of tokens up to the end of the first block in braces.
fn length_of_block(tokens: &[&str]) -> usize {
    let mut depth = 0;
    let end = tokens.iter().position(|token| {
        depth += i32::from(*token == "{") - i32::from(*token == "}");
        *token == "}" && depth == 0
    });
    end.map_or(tokens.len(), |end| end + 1)
}

/// The paths that `tokens` name: those of every `use`, and those that begin with `crate`, `self`, `super` or `mcpo`.
pub fn imported_paths<'a>(tokens: &[&'a str]) -> Vec<Vec<&'a str>> {
    let mut found = Vec::new();
    let mut rest = tokens;
    while let [first, after @ ..] = rest {
        rest = match (*first, after) {
            // A path of a macro, and one that says how far an item is seen.
            ("$", [_, after @ ..]) | ("(", ["in", _, after @ ..]) => after,
            ("use", [next, ..]) if *next != "<" => use_tree(after, &[], &mut found),
            ("crate" | "self" | "super" | "mcpo", ["::", ..]) => {
                let is_of_path = |(place, token): (usize, &&str)| match place % 2 {
                    0 => token.starts_with(is_of_word),
                    _ => *token == "::",
                };
                let length = rest.iter().enumerate().take_while(|part| is_of_path(*part)).count();
                found.push(rest[..length].iter().step_by(2).copied().collect());
                &rest[length..]
            }
            _ => after,
        };
    }
    found
}

/// Adds the paths of the `use` tree that `tokens` begin with, each behind `before`; gives the tokens behind the tree.
fn use_tree<'a, 't>(
    tokens: &'t [&'a str],
    before: &[&'a str],
    found: &mut Vec<Vec<&'a str>>,
) -> &'t [&'a str] {
    let (mut path, mut rest) = (before.to_vec(), tokens);
    loop {
        rest = match rest {
            ["{", inner @ ..] => {
                rest = inner;
                while !matches!(rest, [] | ["}" | ";", ..]) {
                    rest = use_tree(rest, &path, found);
                    rest = rest.strip_prefix(&[","]).unwrap_or(rest);
                }
                return rest.strip_prefix(&["}"]).unwrap_or(rest);
            }
            [] | ["," | "}" | ";", ..] => {
                found.push(path);
                return rest;
            }
            ["as", _, rest @ ..] | ["::", rest @ ..] => rest,
            [segment, rest @ ..] => {
                path.push(segment);
                rest
            }
        };
    }
}

#[test]
fn comments_and_literals_are_told_from_tokens() {
    let text = "let a = \"x // \\\" {\"; // use crate::a;\n/* b */ r#\"}\"\"#; '{' '\\'' 'a &'static str b\"}\" a::b";
    assert_eq!(comments(text).collect::<Vec<_>>(), ["// use crate::a;", "/* b */"]);
    let found = tokens(text);
    assert_eq!(found[..5], ["let", "a", "=", "\"x // \\\" {\"", ";"]);
    assert_eq!(
        found[5..],
        ["r#\"}\"\"#", ";", "'{'", "'\\''", "'a", "&", "'static", "str", "b", "\"}\"", "a", "::", "b"]
    );
}

#[test]
fn test_modules_are_left_out() {
    let text = "a #[cfg(test)] mod tests { b { } } c #[cfg(test)] mod more; #[cfg(test)] fn d() {}";
    let tokens = tokens(text);
    let (kept, files) = without_tests(&tokens);
    assert_eq!(kept.join(" "), "a c # [ cfg ( test ) ] fn d ( ) { }");
    assert_eq!(files, ["more"]);
}

#[test]
fn imports_are_read_over_several_lines_and_from_paths_in_code() {
    let text = "pub(super) use crate::{\n  a::{B, self},\n  c as d,\n};\nuse super::e::*;\n\
                fn f(x: crate::g::H<self::i>) -> impl J + use<'_> { $crate::k(); self.l() }\n\
                pub(in crate::m) struct N;";
    let tokens = tokens(text);
    let found: Vec<String> = imported_paths(&tokens).iter().map(|path| path.join("::")).collect();
    let expected = ["crate::a::B", "crate::a::self", "crate::c", "super::e::*", "crate::g::H", "self::i"];
    assert_eq!(found, expected);
}
