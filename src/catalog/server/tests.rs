use serde_json::json;

use super::*;
use crate::config::{ServerName, TransportConfig};

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
