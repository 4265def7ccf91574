use super::*;

fn name(server: &str) -> ServerName {
    ServerName::new(server).unwrap()
}

fn patterns(servers: &[&str], patterns: &[&str]) -> ToolPatterns {
    let namespace = Namespace::new(servers.iter().map(|server| name(server)), 50);
    let patterns: Vec<String> = patterns.iter().map(|pattern| (*pattern).to_owned()).collect();
    ToolPatterns::new(&patterns, Arc::new(namespace)).unwrap()
}

/// The pairs that one pattern holds for.
fn held<'a>(servers: &[&str], pattern: &str, pairs: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let patterns = patterns(servers, &[pattern]);
    pairs.iter().copied().filter(|(server, tool)| patterns.hold(&name(server), tool)).collect()
}

#[test]
fn patterns_over_servers_whose_names_do_not_meet_are_over_the_whole_text() {
    let servers = ["time", "git", "web search"];
    let pairs =
        [("time", "now"), ("time", "now_utc"), ("git", "log"), ("git", "log_now"), ("web search", "now")];
    for (pattern, expected) in [
        ("*", &pairs[..]),
        ("time_*", &pairs[..2]),
        ("time_now", &pairs[..1]),
        ("*_log*", &pairs[2..4]),
        ("?i?e_n*", &pairs[..2]),
        ("{time,git}_[nl]o?", &[pairs[0], pairs[2]]),
        ("git*now", &pairs[3..4]),
        ("web search_*", &pairs[4..]),
        ("web_search_now", &pairs[4..]),
        ("web?sea*", &pairs[4..]),
        ("time", &[]),
        ("git_", &[]),
        ("nothing_*", &[]),
    ] {
        assert_eq!(held(&servers, pattern, &pairs), expected, "{pattern}");
    }
}

#[test]
fn a_pattern_can_hold_for_a_tool_of_the_servers_that_its_beginning_leaves_open() {
    let servers = ["time", "git", "git_hub", "web search"];
    for (pattern, expected) in [
        ("*", &servers[..]),
        ("*_log", &servers[..]),
        ("time_now", &servers[..1]),
        ("git_*", &servers[1..2]),
        ("git_hub_x", &servers[2..3]),
        ("g*", &servers[1..3]),
        ("web search_*", &servers[3..]),
        ("web_s*", &servers[3..]),
        ("nothing_*", &[]),
        ("nothing_x", &[]),
    ] {
        let patterns = patterns(&servers, &[pattern]);
        let open: Vec<_> = servers.into_iter().filter(|server| patterns.can_hold(&name(server))).collect();
        assert_eq!(open, expected, "{pattern}");
    }
}

#[test]
fn a_pattern_that_names_a_server_is_over_the_tools_of_that_one_alone() {
    let servers = ["git", "git_hub", "git.hub", "git.lab"];
    let pairs = [
        ("git", "hub_evil"),
        ("git", "lab_evil"),
        ("git", "status"),
        ("git_hub", "search"),
        ("git.hub", "search"),
        ("git.lab", "merge"),
    ];
    for (pattern, expected) in [
        ("git_*", &pairs[..3]),
        ("git_h*", &pairs[..1]),
        ("git_hub*", &pairs[..1]),
        ("git_hub_*", &pairs[3..4]),
        ("git\\_hub_*", &pairs[3..4]),
        ("git_hub_evil", &[]),
        ("git.hub_*", &pairs[4..5]),
        ("git_lab_*", &pairs[5..]),
        ("git.lab_m?rge", &pairs[5..]),
        ("*", &pairs[..]),
        ("git*", &pairs[..]),
        ("*_search", &pairs[3..5]),
        ("{git_hub,x}_*", &pairs[3..4]),
        ("git[_]hub_*", &pairs[3..4]),
        ("git?hub_*", &pairs[3..5]),
        ("*evil", &pairs[..2]),
        ("*_evil", &pairs[..2]),
    ] {
        assert_eq!(held(&servers, pattern, &pairs), expected, "{pattern}");
    }
}

#[test]
fn a_cleaned_name_that_servers_share_names_none_of_them() {
    let servers = ["a", "a.b", "a b"];
    let pairs = [("a", "b_c"), ("a.b", "c"), ("a b", "c")];
    assert_eq!(held(&servers, "a_b_*", &pairs), []);
    assert_eq!(held(&servers, "a b_*", &pairs), pairs[2..]);
}

#[test]
fn what_a_server_calls_its_tools_cannot_stand_for_the_mark_between_the_names() {
    let pairs = [("git", "hub\0evil"), ("git", "\0evil"), ("git_hub", "search")];
    assert_eq!(held(&["git", "git_hub"], "git_hub_*", &pairs), pairs[2..]);
    assert_eq!(held(&["git", "git_hub"], "{git_hub,x}_*", &pairs), pairs[2..]);
}

#[test]
fn of_any_servers_and_tools_a_pattern_for_one_server_shows_those_of_no_other() {
    let pieces = ["a", "b", "_", "_", "-", ".", "é"];
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut below = move |bound: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % bound as u64).unwrap()
    };
    for _ in 0..2_000 {
        let mut text = || -> String { (0..=below(4)).map(|_| pieces[below(pieces.len())]).collect() };
        let servers: Vec<String> = (0..4).map(|_| text()).collect();
        let servers: Vec<&str> = servers.iter().map(String::as_str).collect();
        let tools: Vec<String> = (0..4).map(|_| text()).collect();
        for server in &servers {
            let all = patterns(&servers, &[&format!("{}_*", globset::escape(server))]);
            let first = patterns(&servers, &[&globset::escape(&format!("{server}_{}", tools[0]))]);
            for (other, tool) in servers.iter().flat_map(|other| tools.iter().map(move |tool| (other, tool)))
            {
                assert_eq!(all.hold(&name(other), tool), other == server, "{server}_*: {other} {tool}");
                let is_it = other == server && *tool == tools[0];
                let shows = first.hold(&name(other), tool);
                let text = format!("{}_{tool}", clean(other, fits));
                assert!(!shows || is_it || text == format!("{}_{}", clean(server, fits), tools[0]));
            }
        }
    }
}
