//! Ids that clients and models call tools by: at most 64 characters of `[A-Za-z0-9_-]`, unique in a document.
//!
//! An id is a function of the *set* of names, never of their order:
//!
//! - A name that fits as it is has first claim to its plain id.
//! - A name that the contract (section 2.2) writes with `_` for its separators (`get-env` as
//!   `tool_get_env_post`) gets the plain id as long as it is alone in wanting it.
//! - Every other name (cut, cleaned, or beaten to its id) carries a short hash of its raw form.

use std::borrow::Borrow;
use std::collections::{HashMap, HashSet};

use super::document::hash_prefix;

/// OpenAI and the clients after it accept no longer function name.
const LONGEST: usize = 64;

/// Digits of the hash; the longer ones are taken only where the shorter one meets another name's id.
const HASH_DIGITS: [usize; 3] = [8, 16, 32];

/// What stands around a name, and how long the whole may be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Form {
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
    /// Cleaned in the way that the contract cleans.
    Compatible,
    /// Must carry a hash.
    None,
}

/// A raw name with its cleaned form (ASCII only).
#[derive(Debug, Clone)]
pub(super) struct Wish {
    pub raw: String,
    pub stem: String,
    pub claim: Claim,
}

/// The operation ids of one server's document, `tool_{name}_post`, in the order of `tools`.
pub fn server_operation_ids<'a>(tools: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let wishes: Vec<_> = tools
        .into_iter()
        .map(|tool| {
            let claim = if tool.chars().all(is_word) {
                Claim::Exact
            } else if tool.chars().all(|character| is_word(character) || "-.:/".contains(character)) {
                Claim::Compatible
            } else {
                Claim::None
            };
            Wish { raw: tool.to_owned(), stem: clean(tool, is_word), claim }
        })
        .collect();
    assign(&wishes, Form { prefix: "tool_", suffix: "_post", limit: LONGEST })
}

/// The ids of tools among those of all servers, `{server}_{tool}`, in the order of `tools` (server and tool).
pub fn combined_operation_ids<'a>(tools: impl IntoIterator<Item = (&'a str, &'a str)>) -> Vec<String> {
    let wishes: Vec<_> = tools.into_iter().map(|(server, tool)| combined(server, tool)).collect();
    assign(&wishes, COMBINED)
}

/// The same for things that are heard of one server after the other: an id is a function of its own names and of the
/// names of all `servers`, never of what else is known, so that it means the same before and after. A plain id belongs
/// to the server with the longest name that it begins with, and is none that could be read as one with a hash.
pub fn lasting_ids<'a>(
    servers: &[&(impl Borrow<str> + ?Sized)],
    things: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Vec<String> {
    let heads: Vec<String> = servers.iter().map(|server| clean((*server).borrow(), fits) + "_").collect();
    let wish = |(server, thing)| {
        let mut wish = combined(server, thing);
        let own = clean(server, fits).len() + 1;
        let is_anothers = heads.iter().any(|head| head.len() > own && wish.stem.starts_with(head));
        if is_anothers || stem_before_a_hash(&wish.stem).is_some() {
            wish.claim = Claim::None;
        }
        wish
    };
    let wishes: Vec<_> = things.into_iter().map(wish).collect();
    assign(&wishes, COMBINED)
}

/// The id of one thing with its hash, which no other one has.
pub fn hashed_id(server: &str, thing: &str) -> String {
    let wish = Wish { claim: Claim::None, ..combined(server, thing) };
    assign(&[wish], COMBINED).swap_remove(0)
}

/// Whether the [lasting id](lasting_ids) `id` may be one of a thing of `server`, which is one of all `servers`. Of a plain
/// one that is true for one of them at most.
pub fn may_be_of(id: &str, server: &str, servers: &[&str]) -> bool {
    let head_of = |server: &str| clean(server, fits) + "_";
    let head = head_of(server);
    let Some(stem) = stem_before_a_hash(id) else {
        let is_anothers = |other: String| other.len() > head.len() && id.starts_with(&other);
        let is_its = server.chars().all(fits) && id.starts_with(&head);
        return is_its && !servers.iter().map(|server| head_of(server)).any(is_anothers);
    };
    // Of a name that is too long, the hash takes the place of the end.
    let is_cut = id.len() == LONGEST && head.starts_with(stem);
    stem.starts_with(&head) || is_cut
}

const COMBINED: Form = Form { prefix: "", suffix: "", limit: LONGEST };

fn combined(server: &str, thing: &str) -> Wish {
    Wish {
        raw: format!("{server}\0{thing}"),
        stem: format!("{}_{}", clean(server, fits), clean(thing, fits)),
        claim: if server.chars().chain(thing.chars()).all(fits) { Claim::Exact } else { Claim::None },
    }
}

fn fits(character: char) -> bool {
    is_word(character) || character == '-'
}

/// What stands before the hash that `id` ends with, if it may be one.
fn stem_before_a_hash(id: &str) -> Option<&str> {
    let (stem, end) = id.rsplit_once('_')?;
    let is_hash = HASH_DIGITS.contains(&end.len()) && end.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hash.then_some(stem)
}

/// Each character that `fits` refuses becomes `_`.
pub(super) fn clean(name: &str, fits: impl Fn(char) -> bool) -> String {
    name.chars().map(|character| if fits(character) { character } else { '_' }).collect()
}

pub(super) fn is_word(character: char) -> bool {
    character.is_ascii_alphanumeric() || character == '_'
}

/// One id for each wish, in their order; equal raw names get equal ids, different ones different ids.
pub(super) fn assign(wishes: &[Wish], form: Form) -> Vec<String> {
    let room = form.limit - form.prefix.len() - form.suffix.len();
    let mut distinct: HashMap<&str, &Wish> = HashMap::with_capacity(wishes.len());
    for wish in wishes {
        distinct.entry(&wish.raw).or_insert(wish);
    }
    let mut claims: HashMap<&str, Claims> = HashMap::with_capacity(distinct.len());
    for wish in distinct.values().filter(|wish| wish.stem.len() <= room) {
        let claim = claims.entry(&wish.stem).or_default();
        match wish.claim {
            Claim::Exact => claim.exact += 1,
            Claim::Compatible => claim.compatible += 1,
            Claim::None => {}
        }
    }
    let mut ids: HashMap<&str, String> = HashMap::with_capacity(distinct.len());
    let mut taken: HashSet<String> = HashSet::with_capacity(distinct.len());
    let mut hashed = Vec::new();
    for (raw, wish) in &distinct {
        let claim = if wish.stem.len() <= room { claims.get(wish.stem.as_str()) } else { None };
        if claim.is_some_and(|claim| claim.is_won_by(wish.claim)) {
            let id = format!("{}{}{}", form.prefix, wish.stem, form.suffix);
            taken.insert(id.clone());
            ids.insert(raw, id);
        } else {
            hashed.push(*wish);
        }
    }
    // By name, so that even the case of a hash that meets another id does not depend on the order.
    hashed.sort_unstable_by(|left, right| left.raw.cmp(&right.raw));
    for wish in hashed {
        let mut id = String::new();
        for digits in HASH_DIGITS {
            let stem = &wish.stem[..wish.stem.len().min(room - digits - 1)];
            let hash = hash_prefix(wish.raw.as_bytes(), digits);
            id = format!("{}{stem}_{hash}{}", form.prefix, form.suffix);
            if !taken.contains(&id) {
                break;
            }
        }
        taken.insert(id.clone());
        ids.insert(&wish.raw, id);
    }
    wishes.iter().map(|wish| ids[wish.raw.as_str()].clone()).collect()
}

/// How many names want one plain id.
#[derive(Default)]
struct Claims {
    exact: usize,
    compatible: usize,
}

impl Claims {
    fn is_won_by(&self, claim: Claim) -> bool {
        match claim {
            Claim::Exact => self.exact == 1,
            Claim::Compatible => self.exact == 0 && self.compatible == 1,
            Claim::None => false,
        }
    }
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
    fn servers_and_tools_that_join_alike_get_different_ids() {
        let ids = combined_operation_ids([("a_b", "c"), ("a", "b_c"), ("a", "b-c"), ("a", "b.c")]);
        assert_eq!(ids[2], "a_b-c");
        assert_eq!(ids.iter().collect::<HashSet<_>>().len(), 4, "{ids:?}");
        assert!(!ids.contains(&"a_b_c".to_owned()), "{ids:?}");
    }

    #[test]
    fn a_lasting_id_is_the_same_whatever_else_is_heard_of() {
        let servers = ["a", "a_b", "a b", "c"];
        let hash = hash_prefix(b"a\0b_c", 8);
        let twin = format!("c_{hash}");
        let things = [
            ("a_b", "c"),
            ("a", "b_c"),
            ("a", "x"),
            ("a_b", "b"),
            ("a b", "c"),
            ("c", "a_b"),
            ("a_b", &*twin),
        ];
        let ids = lasting_ids(&servers, things);
        assert_eq!(ids[..1], ["a_b_c"], "the longer name wins");
        assert_eq!(ids[1], format!("a_b_c_{hash}"));
        assert_eq!((&*ids[2], &*ids[3], &*ids[5]), ("a_x", "a_b_b", "c_a_b"));
        assert_eq!(ids.iter().collect::<HashSet<_>>().len(), things.len(), "{ids:?}");
        for (thing, id) in things.into_iter().zip(&ids) {
            assert_eq!(&lasting_ids(&servers, [thing])[0], id, "{thing:?} alone");
        }
    }

    #[test]
    fn whose_an_id_may_be_is_told_by_all_that_it_says_of_its_server() {
        let long = "l".repeat(70);
        let servers = ["a", "a_b", "a b", "c", &*long];
        let owners = |id: &str| -> Vec<&str> {
            servers.into_iter().filter(|server| may_be_of(id, server, &servers)).collect()
        };
        assert_eq!((owners("a_x"), owners("a_b_x"), owners("c_a_b")), (vec!["a"], vec!["a_b"], vec!["c"]));
        for no_ones in ["ax", "a", "search_x", "a-x", "", "_", "llllllll_x"] {
            assert!(owners(no_ones).is_empty(), "{no_ones}");
        }
        assert_eq!(owners("a_b_x_01234567"), ["a", "a_b", "a b"]);
        // Whatever a thing is called, its server is found by its id.
        for server in servers {
            for thing in ["x", "b_x", "é", "x_01234567", "", &*"x".repeat(60), &*long] {
                for id in [lasting_ids(&servers, [(server, thing)]).swap_remove(0), hashed_id(server, thing)]
                {
                    assert!(may_be_of(&id, server, &servers), "{id} of {server:?}, {thing:?}");
                }
            }
        }
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
