//! The tools of one server for the page: each as its server defined it, with the name that a call needs.

use std::sync::Arc;

use axum::response::Response;
use bytes::Bytes;
use http::HeaderMap;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::catalog::{Caller, CatalogServer};
use crate::compute;
use crate::http::answer::{etag_of, json_text};
use crate::http::{Problem, document_answer};
use crate::protocol::media_type::JSON;

#[derive(Serialize)]
struct ToolListing<'a> {
    server: &'a str,
    tools: Vec<PageTool<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PageTool<'a> {
    /// The last segment of a call's path, not encoded.
    name: &'a str,
    /// The server's claim, or the operator's `readOnlyTools`.
    read_only: bool,
    definition: &'a Map<String, Value>,
}

/// The tools of `server` that `caller` may call. Written apart: a server may have many megabytes of them.
pub async fn list(
    server: Arc<CatalogServer>,
    caller: Caller,
    request: &HeaderMap,
) -> Result<Response, Problem> {
    let key = caller.clone();
    let name = server.name.clone();
    let (bytes, etag) = compute::run(key.owner(name.as_str()), move || write(&server, &caller)).await?;
    Ok(document_answer(&bytes, &etag, JSON, request))
}

/// The list as JSON, with its tag.
fn write(server: &CatalogServer, caller: &Caller) -> Result<(Bytes, String), Problem> {
    let allowed = server.tools.iter().filter(|tool| caller.scope.allows(server, tool));
    let tools = allowed
        .map(|tool| PageTool {
            name: &tool.exposed_name,
            read_only: tool.read_only,
            definition: &tool.definition,
        })
        .collect();
    let list = ToolListing { server: server.name.as_str(), tools };
    let bytes = json_text(&list)?;
    let etag = etag_of(&bytes);
    Ok((bytes, etag))
}
