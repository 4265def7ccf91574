use serde_json::json;

use super::*;
use crate::catalog::drift::DriftKind;
use crate::config::{DriftPolicy, LockConfig, ServerName, ToolOverride, TransportConfig};

fn build(names: &[&str], change: impl FnOnce(&mut ServerConfig)) -> CatalogServer {
    let definitions: Vec<Definition> = names
        .iter()
        .map(|name| {
            let hints = json!({ "readOnlyHint": name.starts_with("get") });
            let tool = json!({ "name": name, "inputSchema": {"type": "object"}, "annotations": hints });
            Arc::new(tool.as_object().unwrap().clone())
        })
        .collect();
    let mut config = ServerConfig::new(ServerName::new("s").unwrap(), TransportConfig::Gateway);
    change(&mut config);
    CatalogServer::of_gateway(&config, ServerInfo::default(), &definitions)
}

fn exposed(server: &CatalogServer) -> Vec<&str> {
    server.tools.iter().map(|tool| &*tool.exposed_name).collect()
}

#[test]
fn names_that_hide_paths_of_the_server_get_an_underscore_and_never_collide() {
    let server = build(&["docs", "docs_", "mcp", "openapi.json", "redoc", ""], |_| {});
    assert_eq!(exposed(&server), ["docs__", "docs_", "mcp_", "openapi.json_", "redoc", ""]);
    assert_eq!(&*server.tool("docs__").unwrap().name, "docs");
    assert!(server.tool("docs").is_none());
}

#[test]
fn of_two_tools_with_one_name_the_first_is_served() {
    assert_eq!(exposed(&build(&["a", "b", "a"], |_| {})), ["a", "b"]);
}

#[test]
fn globs_choose_tools_and_disabled_ones_win() {
    let server = build(&["get_a", "get_b", "set_a"], |config| {
        config.enabled_tools = vec!["get_*".into(), "se[".into()];
        config.disabled_tools = vec!["*_b".into()];
    });
    assert_eq!(exposed(&server), ["get_a"]);
}

#[test]
fn a_disabled_name_is_meant_literally_too() {
    let server = build(&["delete[all]", "keep"], |config| config.disabled_tools = vec!["delete[all]".into()]);
    assert_eq!(exposed(&server), ["keep"]);
}

#[test]
fn read_only_is_the_servers_claim_unless_the_operator_says_otherwise() {
    let read_only =
        |server: &CatalogServer| -> Vec<bool> { server.tools.iter().map(|tool| tool.read_only).collect() };
    assert_eq!(read_only(&build(&["get", "set"], |_| {})), [true, false]);
    let overridden = build(&["get", "set"], |config| config.read_only_tools = Some(vec!["set".into()]));
    assert_eq!(read_only(&overridden), [false, true]);
}

#[test]
fn an_override_is_shown_in_place_of_the_servers_words_and_the_server_keeps_its_own() {
    let changed = |name: Option<&str>, description: Option<&str>| ToolOverride {
        name: name.map(str::to_owned),
        description: description.map(str::to_owned),
        title: None,
    };
    let server = build(&["a", "b", "c", "docs"], |config| {
        config.overrides.insert("a".into(), changed(Some("docs"), Some("words")));
        config.overrides.insert("b".into(), changed(Some("c"), None));
        config.overrides.insert("docs".into(), changed(Some("a"), None));
        config.disabled_tools = vec!["x".into()];
    });
    assert_eq!(exposed(&server), ["docs_", "c", "a"], "of two with one name the first is served");
    let tool = server.tool("docs_").unwrap();
    assert_eq!((&*tool.name, &*tool.listed_name), ("a", "docs"));
    assert_eq!((tool.description(), &tool.definition["name"]), (Some("words"), &json!("docs")));
    assert_eq!(tool.own["name"], "a");
    assert_eq!(&*server.tool_called("docs").unwrap().name, "a");
    assert_eq!(&*server.tool_called("a").unwrap().name, "docs");
    assert!(server.tool_called("b").is_none() && server.tool_called("docs_").is_none());
}

#[test]
fn tools_are_held_to_the_lock_with_the_servers_own_text() {
    let locked = build(&["a", "b", "gone"], |_| {}).lock();
    let with = |policy| {
        build(&["a", "b", "new", "off"], |config| {
            let mut lock = locked.clone();
            lock.tools.get_mut("b").unwrap().digest = "sha256:other".into();
            config.lock = Some(LockConfig { drift: policy, lock: Arc::new(lock) });
            config.disabled_tools = vec!["off".into()];
            let renamed = ToolOverride { name: Some("bee".into()), ..ToolOverride::default() };
            config.overrides.insert("b".into(), renamed.clone());
            config.overrides.insert("a".into(), ToolOverride { name: Some("ay".into()), ..renamed });
        })
    };
    let quarantined = with(DriftPolicy::Quarantine);
    assert_eq!(exposed(&quarantined), ["ay"]);
    let drift: Vec<(&str, DriftKind)> =
        quarantined.drift.iter().map(|drift| (drift.tool.as_str(), drift.change)).collect();
    assert_eq!(drift, [("b", DriftKind::Changed), ("gone", DriftKind::Missing), ("new", DriftKind::New)]);
    assert_eq!(&*quarantined.quarantined_tool("bee").unwrap().name, "b");
    assert!(quarantined.quarantined_tool("b").is_none() && quarantined.quarantined_tool("off").is_none());
    let warned = with(DriftPolicy::Warn);
    assert_eq!((exposed(&warned), warned.drift.len()), (vec!["ay", "bee", "new"], 3));
    assert_eq!(warned.lock(), quarantined.lock(), "the lock does not depend on what is quarantined");
}

#[test]
fn a_list_that_was_never_published_is_held_to_the_lock_too() {
    let named = |name: &str| Arc::new(json!({ "name": name }).as_object().unwrap().clone());
    let mut config = ServerConfig::new(ServerName::new("s").unwrap(), TransportConfig::Gateway);
    config.lock = Some(LockConfig { drift: DriftPolicy::Quarantine, lock: Arc::default() });
    let of = |info| CatalogServer::new(&config, ServerSource::Gateway, info, &[named("a")], 0);
    let of_one_client = of(Some(ServerInfo::default()));
    assert_eq!((exposed(&of_one_client).len(), of_one_client.quarantined.len()), (0, 1));
    assert!(of(None).quarantined.is_empty(), "nothing is known of a server that was never heard of");
}
