//! The capabilities, name and instructions of an endpoint, for a client that connects.

use std::borrow::Cow;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::catalog::definition::{Defined, mended};
use crate::catalog::{CatalogServer, ServerInfo};
use crate::mcp::capabilities::{self, any_sends};
use crate::mcp::endpoint::Endpoint;
use crate::mcp::extensions::{self, EXTENSIONS};
use crate::mcp::request::RequestContext;

/// Capabilities that a server's own endpoint passes on unchanged.
///
/// The endpoint of all servers has each capability that any server has.
const PASSED_ON: [&str; 4] = ["resources", "prompts", "completions", "logging"];
/// Notifications that the endpoint of all servers sends when any server does.
const NOTIFICATIONS: [(&str, &str); 3] =
    [("resources", "subscribe"), ("resources", "listChanged"), ("prompts", "listChanged")];

/// How an endpoint describes itself: that of one server, or of all.
#[derive(Debug)]
pub struct EndpointInfo {
    pub capabilities: Value,
    /// Name and version.
    pub implementation: Value,
    pub instructions: Option<String>,
}

impl EndpointInfo {
    /// The description of the request's endpoint, once its servers had a few seconds to get ready.
    pub async fn of(request: &RequestContext) -> Self {
        request.first_outcomes().await;
        let catalog = request.mcp.gateway.catalog_builder().catalog();
        match &request.endpoint {
            Endpoint::One(name) => {
                of_server(name, catalog.server(name).and_then(|server| server.info.as_ref()))
            }
            Endpoint::All => {
                let visible = || request.endpoint.servers(&catalog, &request.caller);
                let document = &request.mcp.config.document;
                let mut capabilities = tools_alone();
                for key in PASSED_ON {
                    if visible().any(|server| capabilities::has(server, key)) {
                        capabilities[key] = json!({});
                    }
                }
                if let Some(extensions) = extensions::of_all(visible().map(|server| &**server)) {
                    capabilities[EXTENSIONS] = Value::Object(extensions);
                }
                for (kind, what) in NOTIFICATIONS {
                    if any_sends(&request.mcp, &request.caller, &request.endpoint, kind, what) {
                        capabilities[kind][what] = true.into();
                    }
                }
                let instructions = of_all(visible(), &capabilities);
                EndpointInfo {
                    capabilities,
                    implementation: json!({ "name": "mcpo", "title": document.name, "version": env!("CARGO_PKG_VERSION") }),
                    instructions,
                }
            }
        }
    }
}

fn tools_alone() -> Value {
    json!({ "tools": { "listChanged": true } })
}

fn of_server(name: &str, info: Option<&ServerInfo>) -> EndpointInfo {
    let mut capabilities = tools_alone();
    let mut implementation = json!({ "name": name, "version": "" });
    let Some(info) = info else { return EndpointInfo { capabilities, implementation, instructions: None } };
    let offered = held(Defined::Capabilities, &info.capabilities);
    for key in PASSED_ON {
        if let Some(offered) = offered.get(key) {
            capabilities[key] = offered.clone();
        }
    }
    if let Some(extensions) = extensions::carried(offered.get(EXTENSIONS)) {
        capabilities[EXTENSIONS] = Value::Object(extensions);
    }
    if info.implementation.is_empty() {
        implementation = json!({ "name": info.name, "version": info.version });
    } else {
        let mut said = info.implementation.clone();
        if !said.get("name").is_some_and(Value::is_string) {
            said.insert("name".to_owned(), name.into());
        }
        implementation = Value::Object(held(Defined::Implementation, &said).into_owned());
    }
    EndpointInfo { capabilities, implementation, instructions: info.instructions.clone() }
}

/// A server's description of itself in the form that strict clients accept.
fn held(kind: Defined, said: &Map<String, Value>) -> Cow<'_, Map<String, Value>> {
    match mended(kind, said) {
        Ok(Some(mended)) => Cow::Owned(mended.definition),
        Ok(None) | Err(_) => Cow::Borrowed(said),
    }
}

/// The instructions of each server under its name, after a note on the names of tools, prompts and resources.
fn of_all<'a>(servers: impl Iterator<Item = &'a Arc<CatalogServer>>, capabilities: &Value) -> Option<String> {
    let offers = |key: &str| capabilities.get(key).is_some();
    let mut text = String::new();
    for server in servers {
        let Some(instructions) = server.info.as_ref().and_then(|info| info.instructions.as_deref()) else {
            continue;
        };
        text.push_str(&format!("\n# {}\n\n{}\n", server.name, instructions.trim()));
    }
    if text.is_empty() && !offers("prompts") && !offers("resources") {
        return None;
    }
    let mut head =
        "The tools of several servers; each is named after its server, as SERVER_TOOL.\n".to_owned();
    if offers("prompts") {
        head.push_str("So are their prompts, as SERVER_PROMPT.\n");
    }
    if offers("resources") {
        head.push_str("The URI of a resource is mcpo://SERVER/ and the server's own URI.\n");
    }
    Some(head + &text)
}
