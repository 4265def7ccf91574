//! `mcpo tools`: the servers, their state, and their tools with what they take.
//!
//! States come from `GET /servers`, definitions from `GET /openapi.json`, which holds all of what a server says
//! of a tool.

mod definition;
mod signature;
mod table;

use serde_json::{Map, Value};

use super::door::{Door, tool_name};
use super::output::Output;
use super::states::{ServerState, States};
use super::trouble::Trouble;

/// What is to be shown.
#[derive(Debug)]
pub struct Show {
    pub server: Option<String>,
    pub json: bool,
    /// There is one server only, which is meant without being named.
    pub is_command: bool,
}

/// A server as it is shown.
#[derive(Debug)]
struct Server {
    state: ServerState,
    tools: Vec<Tool>,
}

/// A tool as it is shown.
#[derive(Debug)]
struct Tool {
    /// The name to call it by.
    name: String,
    /// As the server sent it, except that references may be spelled differently.
    definition: Map<String, Value>,
}

/// Prints what `show` asks for; gives the exit code.
///
/// # Errors
///
/// When the gateway cannot be asked, or there is no such server.
pub async fn run(door: &Door, show: &Show, output: Output) -> Result<u8, Trouble> {
    // The document waits for servers that are starting; so their states are asked for after it.
    let document = door.json("openapi.json").await?;
    let states = States::ask(door).await?;
    let server = show.server.as_deref();
    if server.is_some() {
        states.server(server)?;
    }
    let shown = states.servers.iter().filter(|state| server.is_none_or(|name| name == state.name));
    let mut servers: Vec<Server> =
        shown.map(|state| Server { state: state.clone(), tools: Vec::new() }).collect();
    fill(&mut servers, &document);
    match show.json {
        true => output.json(json(&servers).to_string().as_bytes())?,
        false => output.text(&table::table(&servers, output.width))?,
    }
    Ok(states.complain(server, server.is_some() || show.is_command))
}

impl Tool {
    /// Whether the server claims that the tool changes nothing.
    fn is_read_only(&self) -> bool {
        let annotations = self.definition.get("annotations");
        annotations.is_some_and(|annotations| annotations["readOnlyHint"] == Value::Bool(true))
    }
}

/// Puts the tools of `document` to their servers. Without tags it is a single server's.
fn fill(servers: &mut [Server], document: &Value) {
    for (path, item) in document["paths"].as_object().into_iter().flatten() {
        let operation = &item["post"];
        let tag = operation["tags"][0].as_str();
        let server = servers.iter_mut().find(|server| tag.is_none_or(|tag| tag == server.state.name));
        if let Some(server) = server {
            let definition = definition::of(document, operation);
            server.tools.push(Tool { name: tool_name(path), definition });
        }
    }
}

/// Each server as in `/servers`, with whole definitions in place of the tools' names.
fn json(servers: &[Server]) -> Value {
    let servers = servers.iter().map(|server| {
        let mut entry = server.state.entry.clone();
        let tools = server.tools.iter().map(|tool| {
            let mut definition = tool.definition.clone();
            if definition.get("name").and_then(Value::as_str) != Some(&tool.name) {
                definition.insert("exposedName".to_owned(), tool.name.as_str().into());
            }
            Value::Object(definition)
        });
        entry.insert("tools".to_owned(), tools.collect());
        Value::Object(entry)
    });
    servers.collect()
}
