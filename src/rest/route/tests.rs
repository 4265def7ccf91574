use super::*;

fn paths(prefix: &str, root_path: &str, single: bool) -> PathSpace {
    let listen =
        ListenConfig { path_prefix: prefix.into(), root_path: root_path.into(), ..ListenConfig::default() };
    PathSpace::new(&listen, single)
}

fn tool<'a>(server: &'a str, tool: &'a str) -> Route<'a> {
    Route::Tool { server: Some(server.into()), tool: tool.into() }
}

#[test]
fn tools_are_found_whatever_their_names_hold() {
    let plain = paths("", "", false);
    for (path, name) in [
        ("/s/t", "t"),
        ("/s/with%2Fslash", "with/slash"),
        ("/s/%7Bx%7D", "{x}"),
        ("/s/{x}", "{x}"),
        ("/s/a%3Fb", "a?b"),
        ("/s/a%2520b", "a%20b"),
        ("/s/%E6%97%A5%E6%9C%AC", "日本"),
        ("/s/health", "health"),
    ] {
        assert_eq!(plain.route(path, false), tool("s", name), "{path}");
    }
    assert_eq!(plain.route("/a%20b/t", false), tool("a b", "t"));
}

#[test]
fn tools_and_servers_are_told_apart() {
    let plain = paths("", "", false);
    let server = || Cow::from("s");
    for (path, route) in [
        ("/", Route::Nothing),
        ("/s/", Route::ServerRoot { server: server() }),
        ("/s", Route::Moved { to: "/s/".into() }),
        ("/s/t/", Route::Moved { to: "/s/t".into() }),
        ("//s/t", Route::Nothing),
        ("/s//t", Route::Nothing),
        ("/s/t/u", Route::Nothing),
        ("/s/%FF", Route::Nothing),
    ] {
        assert_eq!(plain.route(path, false), route, "{path}");
    }
}

#[test]
fn a_template_holds_nothing_of_the_path() {
    let plain = paths("", "", false);
    for (path, template) in [("/s/t", "/{server}/{tool}"), ("/s", ""), ("/s/t/u", "")] {
        assert_eq!(plain.route(path, false).template(), template, "{path}");
    }
    assert_eq!(paths("", "", true).route("/t", true).template(), "/{server}/{tool}");
}

#[test]
fn a_prefix_is_needed_for_servers() {
    let prefixed = paths("/pre", "", false);
    assert_eq!(prefixed.route("/pre/s/t", false), tool("s", "t"));
    assert_eq!(prefixed.route("/s/t", false), Route::Nothing);
    assert_eq!(prefixed.route("/prefix/s", false), Route::Nothing);
}

#[test]
fn a_root_path_may_be_stripped_by_the_proxy_or_not() {
    let behind = paths("", "/api", false);
    assert_eq!(behind.route("/api/s/t", false), tool("s", "t"));
    assert_eq!(behind.route("/s/t", false), tool("s", "t"));
}

#[test]
fn a_single_server_has_its_tools_at_the_root() {
    let single = paths("", "", true);
    assert_eq!(single.route("/t", false), Route::Tool { server: None, tool: "t".into() });
    assert_eq!(single.route("/t/", false), Route::Moved { to: "/t".into() });
    assert_eq!(single.route("/s/t", false), Route::Nothing);
    for name in ["health", "redoc", ""] {
        let path = format!("/{name}");
        assert_eq!(single.route(&path, true), Route::Tool { server: None, tool: name.into() }, "{name}");
    }
}

#[test]
fn a_call_finds_tools_where_others_find_pages() {
    let plain = paths("", "", false);
    assert_eq!(plain.route("/s/redoc", true), tool("s", "redoc"));
    assert_eq!(plain.route("/s/", true), tool("s", ""));
}
