//! Any names of servers and tools: among those of all servers each tool has one name, which leads to it, which no tool of
//! another server changes, and a profile for one server shows no tool of another.
//!
//! The first byte chooses how long names may be; each line after it is a server, a tab, and a tool of it.

#![no_main]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use mcpo::catalog::exposed_names::ServerNames;
use mcpo::catalog::{Catalog, CatalogEntry, CatalogServer, Namespace, Scope, ServerInfo};
use mcpo::config::{ProfileConfig, ServerConfig, ServerName, TransportConfig};
use mcpo::protocol::Era;
use mcpo::upstream::Definition;
use serde_json::{Value, json};

fuzz_target!(|input: &[u8]| {
    let Some((length, text)) = input.split_first() else { return };
    let longest = 32 + usize::from(length % 33);
    let text = String::from_utf8_lossy(text);
    let mut tools: BTreeMap<ServerName, BTreeSet<&str>> = BTreeMap::new();
    for line in text.lines() {
        let (server, tool) = line.split_once('\t').unwrap_or((line, "tool"));
        let Ok(server) = ServerName::new(server) else { continue };
        tools.entry(server).or_default().insert(tool);
    }
    let namespace = Arc::new(Namespace::new(tools.keys().cloned(), longest));
    let all = catalog(&tools, &namespace, |_| true);
    let scope = Scope::default();
    let list: Vec<Value> = serde_json::from_slice(&all.tool_list(&scope, Era::Sessions)).expect("a list is JSON");
    let names: BTreeSet<&str> = list.iter().filter_map(|tool| tool["name"].as_str()).collect();
    assert_eq!(names.len(), list.len(), "a name stands twice: {list:?}");
    for name in names {
        assert!(name.len() <= longest, "{name} is longer than {longest}");
        assert!(name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte)), "{name}");
        let (server, tool) = all.exposed_names().find(&all.servers, name).expect("a listed name leads to a tool");
        assert_eq!(namespace.server_of(name), Some(&server.name), "{name} of {:?}", tool.name);
        // Whatever the others offer.
        let alone = catalog(&tools, &namespace, |other| *other == server.name);
        let (known, same) = alone.exposed_names().find(&alone.servers, name).expect("the name is the same alone");
        assert_eq!((&known.name, &same.name), (&server.name, &tool.name), "{name}");
    }
    let mut ids = BTreeSet::new();
    for server in &all.servers {
        for id in namespace.operation_ids(&server.name, server.tools.iter().map(|tool| &*tool.listed_name)) {
            assert!(id.len() <= 64, "{id}");
            assert!(ids.insert(id.clone()), "{id} stands twice");
        }
        let wanted = server.name.as_str();
        if wanted.contains(['*', '?', '[', '{', '\\']) {
            continue;
        }
        let tools = Some(vec![format!("{wanted}_*")]);
        let profile = ProfileConfig { name: "p".to_owned(), servers: None, tools };
        let shown = scope.narrowed(&profile, &namespace, 0).expect("the pattern is good");
        for other in &all.servers {
            for tool in &other.tools {
                assert_eq!(shown.allows(other, tool), other.name == server.name, "{wanted}_*: {tool:?}");
            }
        }
    }
});

/// The catalog of all servers, of which those that `offers` picks have their tools.
fn catalog(
    tools: &BTreeMap<ServerName, BTreeSet<&str>>,
    namespace: &Arc<Namespace>,
    offers: impl Fn(&ServerName) -> bool,
) -> Catalog {
    let servers = tools.iter().map(|(server, tools)| {
        let tools = tools.iter().filter(|_| offers(server));
        let definitions: Vec<Definition> = tools.map(|tool| definition(tool)).collect();
        let config = ServerConfig::new(server.clone(), TransportConfig::Gateway);
        let server = CatalogServer::of_gateway(&config, ServerInfo::default(), &definitions);
        let names = Arc::new(ServerNames::new(&server, namespace));
        CatalogEntry { server: Arc::new(server), names, sections: Arc::default() }
    });
    Catalog::new(servers.collect(), namespace.clone(), Arc::default(), 1)
}

fn definition(tool: &str) -> Definition {
    match json!({ "name": tool, "inputSchema": { "type": "object" } }) {
        Value::Object(definition) => Arc::new(definition),
        _ => unreachable!("the literal above is an object"),
    }
}
