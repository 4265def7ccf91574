//! Prompts, resources, resource templates and completion at the endpoint of all servers.
//!
//! | of a server | here |
//! |---|---|
//! | prompt `p` | `{server}_p`, by the rules for tools ([`prompts`]) |
//! | resource `URI`, template `URI` | `mcpo://{server}/URI` ([`uris`]) |
//!
//! A list asks all visible servers that declare the capability at once, and comes whole, without pages. A server that
//! fails is left out with a line in the log.

mod lists;
pub mod prompts;
pub mod uris;

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

use super::input::bridge::Bridge;
use super::list_entries::ListKind;
use super::method::pass_through::forward;
use super::request::RequestContext;
use super::response::fault::Fault;
use super::state::Mcp;
use crate::catalog::resource_uri::{APP_SCHEME, pages, parted};
use crate::catalog::{Caller, CatalogServer};
use crate::compute;
use crate::json::{Splices, clip};
use crate::protocol::{Era, error_code, method};
use crate::upstream::{RpcError, Upstream};
use lists::list_all;
use uris::{in_contents, in_messages, rewritten};

#[derive(Deserialize)]
struct PromptParams<'a> {
    #[serde(borrow)]
    name: &'a RawValue,
}

#[derive(Deserialize)]
struct ResourceParams<'a> {
    #[serde(borrow)]
    uri: &'a RawValue,
}

#[derive(Deserialize)]
struct CompletionParams<'a> {
    #[serde(borrow, rename = "ref")]
    reference: CompletionReference<'a>,
}

#[derive(Deserialize)]
#[serde(tag = "type")]
enum CompletionReference<'a> {
    #[serde(rename = "ref/prompt")]
    Prompt {
        #[serde(borrow)]
        name: Cow<'a, str>,
    },
    #[serde(rename = "ref/resource")]
    Template {
        #[serde(borrow)]
        uri: Cow<'a, str>,
    },
}

/// The same reference as text, to be replaced in the params.
#[derive(Deserialize)]
struct Placed<'a> {
    #[serde(borrow, rename = "ref")]
    reference: PlacedReference<'a>,
}

#[derive(Deserialize)]
struct PlacedReference<'a> {
    #[serde(borrow)]
    name: Option<&'a RawValue>,
    #[serde(borrow)]
    uri: Option<&'a RawValue>,
}

/// Answers one of [`METHODS`](super::method::pass_through::METHODS) for all servers.
pub async fn answer(
    request: &RequestContext,
    bridge: &Bridge,
    method: &str,
    params: &str,
) -> Result<Bytes, Fault> {
    match method {
        method::PROMPTS_LIST => list_all(request, bridge, ListKind::Prompts, params).await,
        method::RESOURCES_LIST => list_all(request, bridge, ListKind::Resources, params).await,
        method::RESOURCES_TEMPLATES_LIST => list_all(request, bridge, ListKind::Templates, params).await,
        method::PROMPTS_GET => get_prompt(request, bridge, params).await,
        method::RESOURCES_READ => read_resource(request, bridge, params).await,
        method::COMPLETION_COMPLETE => complete(request, bridge, params).await,
        _ => Err(Fault::method_not_found(method)),
    }
}

async fn get_prompt(request: &RequestContext, bridge: &Bridge, params: &str) -> Result<Bytes, Fault> {
    let bad = || Fault::invalid_params("`name` must be a text");
    let named: PromptParams<'_> = serde_json::from_str(params).map_err(|_| bad())?;
    let name: Cow<'_, str> = serde_json::from_str(named.name.get()).map_err(|_| bad())?;
    let (server, prompt) = find_prompt(request, bridge, &name).await?;
    let mut splices = Splices::new(params);
    splices.set(named.name, &prompt);
    let result = forward(request, &server, method::PROMPTS_GET, &splices.applied(), bridge).await?;
    let (owner, size) = (request.caller.owner(server.name().as_str()), result.len());
    let of = server.clone();
    let named = move || rewritten(result, |splices| in_messages(splices, of.name().as_str()));
    Ok(compute::run_sized(owner, size, named).await)
}

async fn read_resource(request: &RequestContext, bridge: &Bridge, params: &str) -> Result<Bytes, Fault> {
    let bad = || Fault::invalid_params("`uri` must be a text");
    let located: ResourceParams<'_> = serde_json::from_str(params).map_err(|_| bad())?;
    let uri: Cow<'_, str> = serde_json::from_str(located.uri.get()).map_err(|_| bad())?;
    let Some((server, own)) = find_uri(&request.mcp, &request.caller, &uri) else {
        return Err(resource_not_found(bridge.era, &uri));
    };
    let mut splices = Splices::new(params);
    splices.set(located.uri, &own);
    let result = forward(request, &server, method::RESOURCES_READ, &splices.applied(), bridge).await?;
    let (owner, size) = (request.caller.owner(server.name().as_str()), result.len());
    let of = server.clone();
    let named = move || rewritten(result, |splices| in_contents(splices, of.name().as_str()));
    Ok(compute::run_sized(owner, size, named).await)
}

async fn complete(request: &RequestContext, bridge: &Bridge, params: &str) -> Result<Bytes, Fault> {
    let bad = || Fault::invalid_params("`ref` must be a reference to a prompt or a resource template");
    let wanted: CompletionParams<'_> = serde_json::from_str(params).map_err(|_| bad())?;
    let placed: Placed<'_> = serde_json::from_str(params).map_err(|_| bad())?;
    let mut splices = Splices::new(params);
    let server = match &wanted.reference {
        CompletionReference::Prompt { name } => {
            let (server, prompt) = find_prompt(request, bridge, name).await?;
            splices.set(placed.reference.name.ok_or_else(bad)?, &prompt);
            server
        }
        CompletionReference::Template { uri } => {
            let Some((server, own)) = find_uri(&request.mcp, &request.caller, uri) else {
                let shown = clip(uri, 256);
                return Err(Fault::invalid_params(format!("Unknown resource template: {shown}")));
            };
            splices.set(placed.reference.uri.ok_or_else(bad)?, &own);
            server
        }
    };
    forward(request, &server, method::COMPLETION_COMPLETE, &splices.applied(), bridge).await
}

/// The server of the prompt called `name` here, and the prompt's own name.
///
/// An unknown name makes a new list: a client may have its list from before a reload.
async fn find_prompt(
    request: &RequestContext,
    bridge: &Bridge,
    name: &str,
) -> Result<(Arc<Upstream>, Arc<str>), Fault> {
    let find = || {
        let (server, prompt) = request.mcp.prompts.find(name)?;
        Some((visible_upstream(&request.mcp, &request.caller, &server)?, prompt))
    };
    if let Some(found) = find() {
        return Ok(found);
    }
    list_all(request, bridge, ListKind::Prompts, "{}").await?;
    find().ok_or_else(|| {
        let shown = clip(name, 128);
        Fault::invalid_params(format!("Unknown prompt: {shown}"))
    })
}

/// The server of the resource `uri` of this endpoint, and the server's own URI.
///
/// The page of an App is found by its own URI, too, where one server alone has a tool that names it: the page does not
/// know the endpoint's URI.
pub fn find_uri<'a>(mcp: &Mcp, caller: &Caller, uri: &'a str) -> Option<(Arc<Upstream>, Cow<'a, str>)> {
    let catalog = mcp.gateway.catalog_builder().catalog();
    let names_page = |server: &CatalogServer, page: &str| {
        server.tools.iter().any(|tool| {
            tool.definition.get("_meta").is_some_and(|meta| pages(meta).any(|named| named == page))
        })
    };
    let found = parted(uri).and_then(|(server, own)| Some((catalog.server(&server)?, own)));
    let found = found.filter(|(server, _)| caller.scope.allows_server(&server.name));
    let is_listed = found.as_ref().is_some_and(|(server, own)| names_page(server, own));
    if uri.starts_with(APP_SCHEME) && !is_listed {
        let visible = catalog.servers.iter().filter(|server| caller.scope.allows_server(&server.name));
        let mut naming = visible.filter(|server| names_page(server, uri));
        if let (Some(server), None) = (naming.next(), naming.next()) {
            return Some((server.upstream()?.clone(), Cow::Borrowed(uri)));
        }
    }
    let (server, own) = found?;
    Some((server.upstream()?.clone(), own))
}

fn visible_upstream(mcp: &Mcp, caller: &Caller, server: &str) -> Option<Arc<Upstream>> {
    let catalog = mcp.gateway.catalog_builder().catalog();
    let server = catalog.server(server).filter(|server| caller.scope.allows_server(&server.name))?;
    server.upstream().cloned()
}

/// The error for an unknown resource, with the code of the era.
pub fn resource_not_found(era: Era, uri: &str) -> Fault {
    let data = serde_json::value::to_raw_value(&json!({ "uri": uri })).ok();
    let code = match era {
        Era::Sessions => error_code::RESOURCE_NOT_FOUND,
        Era::Stateless => error_code::INVALID_PARAMS,
    };
    Fault::of_server(&RpcError { code, message: "Resource not found".to_owned(), data })
}
