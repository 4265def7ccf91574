//! Ids and keys within the document of one server: at most so many characters of `[A-Za-z0-9_-]`, each once. Those among
//! the tools of all servers are names ([`super::namespace`]).
//!
//! An id is a function of the *set* of names, never of their order:
//!
//! - A name that fits as it is has first claim to its plain id.
//! - A name that mcpo 0.0.20 writes with `_` for its separators (`get-env` as
//!   `tool_get_env_post`) gets the plain id as long as it is alone in wanting it.
//! - Every other name (cut, cleaned, or beaten to its id) carries a short hash of its raw form.

use std::collections::{HashMap, HashSet};

use super::tagged_json::hash_prefix;

/// OpenAI and the clients after it accept no longer function name.
const LONGEST: usize = 64;

/// Digits of the hash; the longer ones are taken only where the shorter one meets another name's id.
const HASH_DIGITS: [usize; 3] = [8, 16, 32];

/// The texts around a name, and the length limit of the whole.
#[derive(Debug, Clone, Copy)]
pub(super) struct IdFormat {
    pub prefix: &'static str,
    pub suffix: &'static str,
    /// In bytes; at least 64, so that the longest hash fits.
    pub limit: usize,
}

/// How good a name's claim to its plain id is; better ones first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Claim {
    /// The name needed no cleaning.
    Exact,
    /// Cleaned in the way that mcpo 0.0.20 cleans.
    Compatible,
    /// Must carry a hash.
    None,
}

/// A raw name with its cleaned form (ASCII only).
#[derive(Debug, Clone)]
pub(super) struct IdRequest {
    pub raw: String,
    pub stem: String,
    pub claim: Claim,
}

/// The operation ids of one server's document, `tool_{name}_post`, in the order of `tools`.
pub fn server_operation_ids<'a>(tools: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let requests: Vec<_> = tools
        .into_iter()
        .map(|tool| {
            let claim = if tool.chars().all(is_word) {
                Claim::Exact
            } else if tool.chars().all(|character| is_word(character) || "-.:/".contains(character)) {
                Claim::Compatible
            } else {
                Claim::None
            };
            IdRequest { raw: tool.to_owned(), stem: clean(tool, is_word), claim }
        })
        .collect();
    assign(&requests, IdFormat { prefix: "tool_", suffix: "_post", limit: LONGEST })
}

/// Each character that `fits` refuses becomes `_`.
pub(super) fn clean(name: &str, fits: impl Fn(char) -> bool) -> String {
    name.chars().map(|character| if fits(character) { character } else { '_' }).collect()
}

pub(super) fn is_word(character: char) -> bool {
    character.is_ascii_alphanumeric() || character == '_'
}

/// One id for each request, in their order; equal raw names get equal ids, different ones different ids.
pub(super) fn assign(requests: &[IdRequest], form: IdFormat) -> Vec<String> {
    let longest = form.limit - form.prefix.len() - form.suffix.len();
    let mut distinct: HashMap<&str, &IdRequest> = HashMap::with_capacity(requests.len());
    for request in requests {
        distinct.entry(&request.raw).or_insert(request);
    }
    // How many exact and compatible names want each plain id.
    let mut wanted: HashMap<&str, (usize, usize)> = HashMap::with_capacity(distinct.len());
    for request in distinct.values().filter(|request| request.stem.len() <= longest) {
        let (exact, compatible) = wanted.entry(&request.stem).or_default();
        match request.claim {
            Claim::Exact => *exact += 1,
            Claim::Compatible => *compatible += 1,
            Claim::None => {}
        }
    }
    let wins = |request: &IdRequest| match wanted.get(request.stem.as_str()) {
        Some((1, _)) => request.claim == Claim::Exact,
        Some((0, 1)) => request.claim == Claim::Compatible,
        _ => false,
    };
    let mut ids: HashMap<&str, String> = HashMap::with_capacity(distinct.len());
    let mut taken: HashSet<String> = HashSet::with_capacity(distinct.len());
    let mut hashed = Vec::new();
    for (raw, request) in &distinct {
        if wins(request) {
            let id = format!("{}{}{}", form.prefix, request.stem, form.suffix);
            taken.insert(id.clone());
            ids.insert(raw, id);
        } else {
            hashed.push(*request);
        }
    }
    // By name, so that even the case of a hash that meets another id does not depend on the order.
    hashed.sort_unstable_by(|left, right| left.raw.cmp(&right.raw));
    for request in hashed {
        let mut id = String::new();
        for digits in HASH_DIGITS {
            let stem = &request.stem[..request.stem.len().min(longest - digits - 1)];
            let hash = hash_prefix(request.raw.as_bytes(), digits);
            id = format!("{}{stem}_{hash}{}", form.prefix, form.suffix);
            if !taken.contains(&id) {
                break;
            }
        }
        taken.insert(id.clone());
        ids.insert(&request.raw, id);
    }
    requests.iter().map(|request| ids[request.raw.as_str()].clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(names: &[&str]) -> Vec<String> {
        server_operation_ids(names.iter().copied())
    }

    #[test]
    fn names_of_the_contract_keep_their_ids() {
        assert_eq!(
            server(&["get_current_time", "get-env", "with.dot", "a:b", "CamelCase", "1digit", ""]),
            [
                "tool_get_current_time_post",
                "tool_get_env_post",
                "tool_with_dot_post",
                "tool_a_b_post",
                "tool_CamelCase_post",
                "tool_1digit_post",
                "tool__post"
            ]
        );
    }

    #[test]
    fn of_names_that_clean_alike_the_clean_one_keeps_the_plain_id() {
        let ids = server(&["a-b", "a_b", "a.b"]);
        assert_eq!(ids[1], "tool_a_b_post");
        assert_eq!(ids.iter().collect::<HashSet<_>>().len(), 3, "{ids:?}");
        assert!(ids[0].starts_with("tool_a_b_") && ids[2].starts_with("tool_a_b_"), "{ids:?}");
    }

    #[test]
    fn where_none_is_clean_all_that_collide_carry_the_hash() {
        let ids = server(&["a-b", "a.b"]);
        assert!(!ids.contains(&"tool_a_b_post".to_owned()), "{ids:?}");
        assert_ne!(ids[0], ids[1]);
    }

    #[test]
    fn odd_and_long_names_carry_the_hash_of_the_raw_name() {
        let long = "x".repeat(128);
        let ids = server(&["with space", "日本", &long, &"y".repeat(54), &"y".repeat(55)]);
        let hash = hash_prefix("with space".as_bytes(), 8);
        assert_eq!(ids[0], format!("tool_with_space_{hash}_post"));
        assert_eq!(ids[1], format!("tool____{}_post", hash_prefix("日本".as_bytes(), 8)));
        assert_eq!(ids[2].len(), 64);
        assert_eq!(ids[3], format!("tool_{}_post", "y".repeat(54)));
        assert!(ids[4].len() <= 64 && ids[4] != ids[3]);
    }

    #[test]
    fn a_tool_named_like_the_hashed_id_of_another_changes_nothing_for_itself() {
        let hash = hash_prefix(b"a b", 8);
        let twin = format!("a_b_{hash}");
        let ids = server(&["a b", &twin]);
        assert_eq!(ids[1], format!("tool_{twin}_post"));
        assert_eq!(ids[0], format!("tool_a_b_{}_post", hash_prefix(b"a b", 16)));
    }

    #[test]
    fn ids_are_a_function_of_the_set_of_names_whatever_their_order() {
        let alphabet = ["a", "b", "-", "_", ".", " ", "é", "%", "日"];
        let mut state = 0x2545_f491_4f6c_dd1d_u64;
        let mut next = move |bound: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            usize::try_from(state % bound as u64).expect("below a usize")
        };
        for _ in 0..300 {
            let mut names = Vec::new();
            for _ in 0..next(12) + 2 {
                let name: String = (0..next(5)).map(|_| alphabet[next(alphabet.len())]).collect();
                names.push(if next(9) == 0 { name.repeat(40) } else { name });
            }
            names.sort();
            names.dedup();
            let ids = server(&names.iter().map(String::as_str).collect::<Vec<_>>());
            let by_name: HashMap<_, _> = names.iter().cloned().zip(ids.clone()).collect();
            assert_eq!(ids.iter().collect::<HashSet<_>>().len(), names.len(), "{by_name:?}");
            for id in &ids {
                assert!(id.len() <= 64 && id.chars().all(|c| is_word(c) || c == '-'), "{id}");
            }
            for turn in 0..names.len() {
                names.rotate_left(turn);
                let turned = server(&names.iter().map(String::as_str).collect::<Vec<_>>());
                for (name, id) in names.iter().zip(turned) {
                    assert_eq!(by_name[name], id, "{name:?} among {names:?}");
                }
            }
        }
    }
}
