//! `mcpo tools`: the servers, their state, and their tools with arguments.
//!
//! States come from `GET /servers`, definitions from `GET /openapi.json`, which holds the whole
//! definition of a tool.

mod definition;
mod listing;
mod signature;
mod table;

use serde_json::Value;

use super::arguments::ToolsQuery;
use super::command_error::CommandError;
use super::gateway_client::{GatewayClient, tool_name};
use super::output::Output;
use super::server_list::ServerList;
use listing::{ShownServer, ShownTool};

/// Prints the servers of `query` with their tools; gives the exit code. With `is_command`, there is one server only.
///
/// # Errors
///
/// When the gateway cannot be asked, or there is no such server.
pub async fn run(
    client: &GatewayClient,
    query: &ToolsQuery,
    is_command: bool,
    output: Output,
) -> Result<u8, CommandError> {
    // The document waits for servers that are starting; so their states are asked for after it.
    let document = client.json("openapi.json").await?;
    let list = ServerList::ask(client).await?;
    let server = query.server.as_deref();
    if server.is_some() {
        list.server(server)?;
    }
    let shown = list.servers.iter().filter(|state| server.is_none_or(|name| name == state.name));
    let mut servers: Vec<ShownServer> =
        shown.map(|state| ShownServer { state: state.clone(), tools: Vec::new() }).collect();
    fill(&mut servers, &document);
    match query.json {
        true => output.json(json(&servers).to_string().as_bytes())?,
        false => output.text(&table::table(&servers, output.width))?,
    }
    Ok(list.complain(server, server.is_some() || is_command))
}

/// Puts the tools of `document` to their servers. Without tags it is a single server's.
fn fill(servers: &mut [ShownServer], document: &Value) {
    for (path, item) in document["paths"].as_object().into_iter().flatten() {
        let operation = &item["post"];
        let tag = operation["tags"][0].as_str();
        let server = servers.iter_mut().find(|server| tag.is_none_or(|tag| tag == server.state.name));
        if let Some(server) = server {
            let definition = definition::of(document, operation);
            server.tools.push(ShownTool { name: tool_name(path), definition });
        }
    }
}

/// Each server as in `/servers`, with whole definitions in place of the tools' names.
fn json(servers: &[ShownServer]) -> Value {
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
