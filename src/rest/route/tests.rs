use super::*;

fn mount(prefix: &str, root_path: &str, single: bool) -> Mount {
    let listen =
        ListenConfig { path_prefix: prefix.into(), root_path: root_path.into(), ..ListenConfig::default() };
    Mount::new(&listen, single)
}

fn tool<'a>(server: &'a str, tool: &'a str) -> Route<'a> {
    Route::Tool { server: Some(server.into()), tool: tool.into() }
}

#[test]
fn tools_are_found_whatever_their_names_hold() {
    let plain = mount("", "", false);
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
fn paths_of_the_gateway_and_of_servers_are_told_apart() {
    let plain = mount("", "", false);
    let server = || Cow::from("s");
    for (path, route) in [
        ("/", Route::Nothing),
        ("/docs", Route::Docs),
        ("/openapi.json", Route::Document),
        ("/assets/swagger/ui.css", Route::Asset { file: "ui.css".into() }),
        ("/docs/", Route::Page { to: "../docs" }),
        ("/docs/swagger-initializer.js", Route::Initializer { prefixed: false }),
        ("/s/docs", Route::ServerDocs { server: server() }),
        ("/s/docs/swagger-initializer.js", Route::ServerInitializer { server: server() }),
        ("/s/redoc", Route::Page { to: "docs" }),
        ("/s/openapi.json", Route::ServerDocument { server: server() }),
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
    let plain = mount("", "", false);
    for (path, template) in [
        ("/metrics", "/metrics"),
        ("/s/t", "/{server}/{tool}"),
        ("/s/openapi.json", "/{server}/openapi.json"),
        ("/assets/swagger/ui.css", "/assets/swagger/{file}"),
        ("/s", ""),
        ("/s/t/u", ""),
    ] {
        assert_eq!(plain.route(path, false).template(), template, "{path}");
    }
    assert_eq!(mount("", "", true).route("/t", true).template(), "/{server}/{tool}");
}

#[test]
fn a_prefix_is_needed_for_servers_and_optional_for_the_rest() {
    let prefixed = mount("/pre", "", false);
    assert_eq!(prefixed.route("/pre/s/t", false), tool("s", "t"));
    assert_eq!(prefixed.route("/s/t", false), Route::Nothing);
    assert_eq!(prefixed.route("/prefix/s", false), Route::Nothing);
    assert_eq!(prefixed.route("/docs", false), Route::Docs);
    assert_eq!(prefixed.route("/pre/docs", false), Route::Docs);
    let script = "/pre/docs/swagger-initializer.js";
    assert_eq!(prefixed.route(script, false), Route::Initializer { prefixed: true });
}

#[test]
fn a_root_path_may_be_stripped_by_the_proxy_or_not() {
    let behind = mount("", "/api", false);
    assert_eq!(behind.route("/api/s/t", false), tool("s", "t"));
    assert_eq!(behind.route("/s/t", false), tool("s", "t"));
    assert_eq!(behind.route("/api/docs", false), Route::Docs);
}

#[test]
fn a_single_server_has_its_tools_at_the_root() {
    let single = mount("", "", true);
    assert_eq!(single.route("/t", false), Route::Tool { server: None, tool: "t".into() });
    assert_eq!(single.route("/docs", false), Route::Docs);
    assert_eq!(single.route("/t/", false), Route::Moved { to: "/t".into() });
    assert_eq!(single.route("/s/t", false), Route::Nothing);
    for name in ["health", "redoc", ""] {
        let path = format!("/{name}");
        assert_eq!(single.route(&path, true), Route::Tool { server: None, tool: name.into() }, "{name}");
    }
}

#[test]
fn a_call_finds_tools_where_others_find_pages() {
    let plain = mount("", "", false);
    assert_eq!(plain.route("/s/redoc", true), tool("s", "redoc"));
    assert_eq!(plain.route("/s/", true), tool("s", ""));
    assert_eq!(plain.route("/s/docs", true), Route::ServerDocs { server: "s".into() });
}
