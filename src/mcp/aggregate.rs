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
use super::list_entries::{PROMPTS, RESOURCES, TEMPLATES};
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

/// The members that name a prompt or a resource.
#[derive(Deserialize)]
struct Reference<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<&'a RawValue>,
    #[serde(borrow)]
    name: Option<&'a RawValue>,
    #[serde(borrow)]
    uri: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct CompletionParams<'a> {
    #[serde(borrow, rename = "ref")]
    reference: Reference<'a>,
}

/// Answers one of [`METHODS`](super::method::pass_through::METHODS) for all servers.
pub async fn answer(
    request: &RequestContext,
    bridge: &Bridge,
    method: &str,
    params: &str,
) -> Result<Bytes, Fault> {
    match method {
        method::PROMPTS_LIST => list_all(request, bridge, &PROMPTS, params).await,
        method::RESOURCES_LIST => list_all(request, bridge, &RESOURCES, params).await,
        method::RESOURCES_TEMPLATES_LIST => list_all(request, bridge, &TEMPLATES, params).await,
        method::PROMPTS_GET => get_prompt(request, bridge, params).await,
        method::RESOURCES_READ => read_resource(request, bridge, params).await,
        method::COMPLETION_COMPLETE => complete(request, bridge, params).await,
        _ => Err(Fault::method_not_found(method)),
    }
}

async fn get_prompt(request: &RequestContext, bridge: &Bridge, params: &str) -> Result<Bytes, Fault> {
    let (named, name) = serde_json::from_str(params)
        .ok()
        .and_then(|Reference { name, .. }| text(name))
        .ok_or_else(|| Fault::invalid_params("`name` must be a text"))?;
    let (server, prompt) = find_prompt(request, bridge, &name).await?;
    let mut splices = Splices::new(params);
    splices.set(named, &prompt);
    read(request, bridge, server, method::PROMPTS_GET, &splices, in_messages).await
}

async fn read_resource(request: &RequestContext, bridge: &Bridge, params: &str) -> Result<Bytes, Fault> {
    let (located, uri) = serde_json::from_str(params)
        .ok()
        .and_then(|Reference { uri, .. }| text(uri))
        .ok_or_else(|| Fault::invalid_params("`uri` must be a text"))?;
    let Some((server, own)) = find_uri(&request.mcp, &request.caller, &uri) else {
        return Err(resource_not_found(bridge.era, &uri));
    };
    let mut splices = Splices::new(params);
    splices.set(located, &own);
    read(request, bridge, server, method::RESOURCES_READ, &splices, in_contents).await
}

/// The result of `server`, with URIs as they are at this endpoint.
async fn read(
    request: &RequestContext,
    bridge: &Bridge,
    server: Arc<Upstream>,
    method: &str,
    params: &Splices<'_>,
    rename: fn(&mut Splices<'_>, &str),
) -> Result<Bytes, Fault> {
    let result = forward(request, &server, method, &params.applied(), bridge).await?;
    let (owner, size, of) =
        (request.caller.owner(server.name().as_str()), result.len(), server.name().clone());
    let named = move || rewritten(result, |splices| rename(splices, of.as_str()));
    Ok(compute::run_sized(owner, size, named).await)
}

async fn complete(request: &RequestContext, bridge: &Bridge, params: &str) -> Result<Bytes, Fault> {
    let bad = || Fault::invalid_params("`ref` must be a reference to a prompt or a resource template");
    let CompletionParams { reference } = serde_json::from_str(params).map_err(|_| bad())?;
    let mut splices = Splices::new(params);
    let kind = text(reference.kind).map(|(_, kind)| kind);
    let server = match kind.as_deref() {
        Some("ref/prompt") => {
            let (named, name) = text(reference.name).ok_or_else(bad)?;
            let (server, prompt) = find_prompt(request, bridge, &name).await?;
            splices.set(named, &prompt);
            server
        }
        Some("ref/resource") => {
            let (located, uri) = text(reference.uri).ok_or_else(bad)?;
            let Some((server, own)) = find_uri(&request.mcp, &request.caller, &uri) else {
                let shown = clip(&uri, 256);
                return Err(Fault::invalid_params(format!("Unknown resource template: {shown}")));
            };
            splices.set(located, &own);
            server
        }
        _ => return Err(bad()),
    };
    forward(request, &server, method::COMPLETION_COMPLETE, &splices.applied(), bridge).await
}

/// A member with its text, if it is one.
fn text(value: Option<&RawValue>) -> Option<(&RawValue, String)> {
    Some((value?, serde_json::from_str(value?.get()).ok()?))
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
        let upstream = request.mcp.upstream(&server)?;
        request.caller.scope.allows_server(upstream.name()).then_some((upstream, prompt))
    };
    if let Some(found) = find() {
        return Ok(found);
    }
    list_all(request, bridge, &PROMPTS, "{}").await?;
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

/// The error for an unknown resource, with the code of the era.
pub fn resource_not_found(era: Era, uri: &str) -> Fault {
    let data = serde_json::value::to_raw_value(&json!({ "uri": uri })).ok();
    let code = match era {
        Era::Sessions => error_code::RESOURCE_NOT_FOUND,
        Era::Stateless => error_code::INVALID_PARAMS,
    };
    Fault::of_server(&RpcError { code, message: "Resource not found".to_owned(), data })
}
