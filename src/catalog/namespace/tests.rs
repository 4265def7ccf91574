use super::*;

fn name(server: &str) -> ServerName {
    ServerName::new(server).unwrap()
}

fn of(servers: &[&str], longest: usize) -> Namespace {
    Namespace::new(servers.iter().map(|server| name(server)), longest)
}

fn one(namespace: &Namespace, server: &str, thing: &str) -> String {
    namespace.exposed_names(&name(server), [thing]).swap_remove(0)
}

#[test]
fn names_that_are_read_in_one_way_stay_as_they_are() {
    let namespace = of(&["git", "git_hub", "git-lab", "s.t"], 50);
    for (server, thing, exposed) in [
        ("git", "status", "git_status"),
        ("git", "hubs", "git_hubs"),
        ("git", "hub", "git_hub"),
        ("git_hub", "search", "git_hub_search"),
        ("git-lab", "merge-all", "git-lab_merge-all"),
        ("git", "snapshot_20240101", "git_snapshot_20240101"),
        ("git", "0123456789abcdef", "git_0123456789abcdef"),
        ("git", "", "git_"),
        ("git", &"x".repeat(46), &format!("git_{}", "x".repeat(46))),
    ] {
        assert_eq!(one(&namespace, server, thing), exposed);
        assert_eq!(namespace.server_of(exposed), Some(&name(server)), "{exposed}");
    }
}

#[test]
fn names_that_are_long_odd_or_read_in_two_ways_end_with_digits_of_their_server_and_their_own() {
    let namespace = of(&["git", "git.hub", "é"], 50);
    let digits = |text: &str| hash_prefix(text.as_bytes(), 8);
    let long = "x".repeat(47);
    let twin = format!("x_{}01234567", digits("git.hub"));
    for (server, thing, stem) in [
        ("git", "hub_evil", "git_hub_evil"),
        ("git.hub", "search", "git_hub_search"),
        ("git", "look up", "git_look_up"),
        ("git", &*long, &*format!("git_{}", "x".repeat(29))),
        ("é", "a", "__a"),
        ("git", &*twin, &*format!("git_{twin}")),
    ] {
        let exposed = one(&namespace, server, thing);
        assert_eq!(exposed, format!("{stem}_{}{}", digits(server), digits(thing)));
        assert!(exposed.len() <= 50);
        assert_eq!(namespace.server_of(&exposed), Some(&name(server)), "{exposed}");
    }
    assert_eq!(namespace.operation_ids(&name("git"), [&*long]), [format!("git_{long}")]);
    for nobodys in ["", "x", "x_y", "_", "gi_t", "git", "x_0123456789abcdef"] {
        assert_eq!(namespace.server_of(nobodys), None, "{nobodys}");
    }
}

#[test]
fn a_cleaned_name_that_several_servers_share_is_that_of_none_unless_one_is_called_so() {
    let namespace = of(&["git", "a.b", "a b", "c.d", "c_d"], 50);
    assert_eq!((namespace.head("a_b_x"), namespace.head("c_d_x")), (None, Some((&name("c_d"), 4))));
    assert_eq!(namespace.head("git_x"), Some((&name("git"), 4)));
    assert_eq!(namespace.head(&"_".repeat(1 << 20)), None, "and is told in no time");
}

#[test]
fn digits_that_meet_are_told_apart_whatever_the_order() {
    // Two names whose hashes begin alike, as was found by trying.
    let servers = ["s2330", "s130636"];
    assert_eq!(hash_prefix(b"s2330", 8), hash_prefix(b"s130636", 8));
    let (forth, back) = (of(&servers, 50), of(&[servers[1], servers[0]], 50));
    assert_eq!(forth, back);
    let exposed = servers.map(|server| one(&forth, server, "é"));
    assert_ne!(exposed[0][exposed[0].len() - 16..], exposed[1][exposed[1].len() - 16..]);
    for (server, exposed) in servers.iter().zip(&exposed) {
        assert_eq!(forth.server_of(exposed), Some(&name(server)));
    }
    let things = ["x\u{309d}\u{3250}", "x\u{3117}\u{3297}"];
    let names = forth.exposed_names(&name("s2330"), things);
    let turned = forth.exposed_names(&name("s2330"), [things[1], things[0]]);
    assert_ne!(names[0], names[1]);
    assert_eq!([&names[0], &names[1]], [&turned[1], &turned[0]]);
}

/// Texts that servers which mean harm would choose, and odd ones.
struct Texts(u64);

impl Texts {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % bound as u64).unwrap()
    }

    fn text(&mut self) -> String {
        const PIECES: [&str; 10] = ["a", "b", "_", "_", "-", ".", " ", "é", "\0", "0123456789abcdef"];
        let text: String = (0..self.below(6)).map(|_| PIECES[self.below(PIECES.len())]).collect();
        if self.below(8) == 0 { text.repeat(30) } else { text }
    }

    fn distinct(&mut self, most: usize) -> BTreeSet<String> {
        (0..=self.below(most)).map(|_| self.text()).filter(|text| !text.is_empty()).collect()
    }
}

#[test]
fn whatever_servers_and_things_are_called_each_has_a_name_of_its_own_that_no_other_server_can_change() {
    let mut texts = Texts(0x2545_f491_4f6c_dd1d);
    for _ in 0..1_000 {
        let servers: Vec<String> = texts.distinct(6).into_iter().collect();
        let servers: Vec<&str> = servers.iter().map(String::as_str).collect();
        let longest = 32 + texts.below(33);
        let namespace = of(&servers, longest);
        let turned: Vec<&str> = servers.iter().rev().copied().collect();
        assert_eq!(namespace, of(&turned, longest));
        let mut things: Vec<(&str, BTreeSet<String>)> =
            servers.iter().map(|server| (*server, texts.distinct(6))).collect();
        let named = |things: &[(&str, BTreeSet<String>)], ids: bool| -> Vec<(String, String, String)> {
            let of_server = |(server, things): &(&str, BTreeSet<String>)| {
                let listed = things.iter().map(String::as_str);
                let names = match ids {
                    true => namespace.operation_ids(&name(server), listed),
                    false => namespace.exposed_names(&name(server), listed),
                };
                let server = (*server).to_owned();
                let all = things.iter().cloned().zip(names);
                all.map(move |(thing, name)| (server.clone(), thing, name)).collect::<Vec<_>>()
            };
            things.iter().flat_map(of_server).collect()
        };
        let before = [named(&things, false), named(&things, true)];
        // Each server calls its things as those of others are called, as far as it can.
        for (server, own) in &mut things {
            let head = format!("{}_", clean(server, fits));
            let others = before.iter().flatten().filter(|(other, ..)| other != server);
            own.extend(others.filter_map(|(.., name)| name.strip_prefix(&head).map(str::to_owned)));
        }
        for (before, ids) in before.into_iter().zip([false, true]) {
            let after = named(&things, ids);
            let limit = if ids { 64 } else { longest };
            let mut taken = HashSet::new();
            for (server, thing, exposed) in &after {
                assert!(taken.insert(exposed.as_str()), "{exposed} stands twice: {after:?}");
                assert!(exposed.len() <= limit && exposed.chars().all(fits), "{exposed}");
                assert_eq!(namespace.server_of(exposed), Some(&name(server)), "{exposed} of {thing:?}");
                let is_plain = *exposed == format!("{server}_{thing}");
                let could_be_anothers = servers.iter().any(|other| {
                    let head = format!("{}_", clean(other, fits));
                    head.len() > server.len() + 1 && format!("{server}_{thing}").starts_with(&head)
                });
                assert!(!is_plain || !could_be_anothers, "{exposed} of {server} and {thing}: {servers:?}");
            }
            for known in &before {
                assert!(after.contains(known), "{known:?} has another name now: {after:?}");
            }
        }
    }
}
