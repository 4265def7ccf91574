//! What the endpoint of all servers offers beside tools: their prompts, resources, resource templates and completion;
//! and what it tells of their changes, which is whatever one of them tells.
//!
//! | of a server | here |
//! |---|---|
//! | prompt `p` | `{server}_p`, by the rules for tools ([`prompts`]) |
//! | resource `URI`, template `URI` | `mcpo://{server}/URI` ([`uris`]) |
//!
//! A list asks all servers that the caller may see and that declare the thing, at once, and comes whole: without
//! pages. A server that fails is left out with a line in the log.

mod lists;
pub mod prompts;
pub mod uris;

use std::borrow::Cow;
use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use memchr::memmem::Finder;
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

use super::Mcp;
use super::answer::Fault;
use super::entries::Kind;
use super::methods::Asked;
use super::way::Way;
use crate::catalog::resource_uri::{APP_SCHEME, pages, parted};
use crate::catalog::{Caller, CatalogServer, ServerSource};
use crate::compute;
use crate::gateway::Target;
use crate::json::{Splices, clip};
use crate::protocol::{Era, error_code, method};
use crate::upstream::{RpcError, Upstream};
use uris::{in_contents, in_items, in_messages};

#[derive(Deserialize)]
struct Named<'a> {
    #[serde(borrow)]
    name: &'a RawValue,
}

#[derive(Deserialize)]
struct Located<'a> {
    #[serde(borrow)]
    uri: &'a RawValue,
}

#[derive(Deserialize)]
struct Completion<'a> {
    #[serde(borrow, rename = "ref")]
    reference: Reference<'a>,
}

#[derive(Deserialize)]
#[serde(tag = "type")]
enum Reference<'a> {
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

/// The same reference, for where it stands.
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

impl Mcp {
    /// Answers one of [`super::others::METHODS`] for all servers.
    pub(super) async fn at_all(
        &self,
        asked: &Asked<'_>,
        way: &Way,
        method: &str,
        params: &str,
    ) -> Result<Bytes, Fault> {
        match method {
            method::PROMPTS_LIST => self.list_all(asked, way, Kind::Prompts, params).await,
            method::RESOURCES_LIST => self.list_all(asked, way, Kind::Resources, params).await,
            method::RESOURCES_TEMPLATES_LIST => self.list_all(asked, way, Kind::Templates, params).await,
            method::PROMPTS_GET => self.get_prompt(asked, way, params).await,
            method::RESOURCES_READ => self.read_resource(asked, way, params).await,
            method::COMPLETION_COMPLETE => self.complete(asked, way, params).await,
            _ => Err(Fault::method_not_found(method)),
        }
    }

    async fn get_prompt(&self, asked: &Asked<'_>, way: &Way, params: &str) -> Result<Bytes, Fault> {
        let bad = || Fault::invalid_params("`name` must be a text");
        let named: Named<'_> = serde_json::from_str(params).map_err(|_| bad())?;
        let name: Cow<'_, str> = serde_json::from_str(named.name.get()).map_err(|_| bad())?;
        let (server, prompt) = self.find_prompt(asked, way, &name).await?;
        let mut splices = Splices::new(params);
        splices.set(named.name, &prompt);
        let result = self.pass_on(asked, &server, method::PROMPTS_GET, &splices.applied(), way).await?;
        let (owner, size) = (asked.caller.owner(server.name().as_str()), result.len());
        let of = server.clone();
        let named = move || rewritten(result, |splices| in_messages(splices, of.name().as_str()));
        Ok(compute::run_sized(owner, size, named).await)
    }

    async fn read_resource(&self, asked: &Asked<'_>, way: &Way, params: &str) -> Result<Bytes, Fault> {
        let bad = || Fault::invalid_params("`uri` must be a text");
        let located: Located<'_> = serde_json::from_str(params).map_err(|_| bad())?;
        let uri: Cow<'_, str> = serde_json::from_str(located.uri.get()).map_err(|_| bad())?;
        let Some((server, own)) = self.find_uri(asked.caller, &uri) else {
            return Err(resource_not_found(way.era, &uri));
        };
        let mut splices = Splices::new(params);
        splices.set(located.uri, &own);
        let result = self.pass_on(asked, &server, method::RESOURCES_READ, &splices.applied(), way).await?;
        let (owner, size) = (asked.caller.owner(server.name().as_str()), result.len());
        let of = server.clone();
        let named = move || rewritten(result, |splices| in_contents(splices, of.name().as_str()));
        Ok(compute::run_sized(owner, size, named).await)
    }

    async fn complete(&self, asked: &Asked<'_>, way: &Way, params: &str) -> Result<Bytes, Fault> {
        let bad = || Fault::invalid_params("`ref` must be a reference to a prompt or a resource template");
        let wanted: Completion<'_> = serde_json::from_str(params).map_err(|_| bad())?;
        let placed: Placed<'_> = serde_json::from_str(params).map_err(|_| bad())?;
        let mut splices = Splices::new(params);
        let server = match &wanted.reference {
            Reference::Prompt { name } => {
                let (server, prompt) = self.find_prompt(asked, way, name).await?;
                splices.set(placed.reference.name.ok_or_else(bad)?, &prompt);
                server
            }
            Reference::Template { uri } => {
                let Some((server, own)) = self.find_uri(asked.caller, uri) else {
                    let shown = clip(uri, 256);
                    return Err(Fault::invalid_params(format!("Unknown resource template: {shown}")));
                };
                splices.set(placed.reference.uri.ok_or_else(bad)?, &own);
                server
            }
        };
        self.pass_on(asked, &server, method::COMPLETION_COMPLETE, &splices.applied(), way).await
    }

    /// The server that a prompt of the list is one of, with its own name. One that is not known makes a new list: a
    /// client may have its list from before a reload.
    async fn find_prompt(
        &self,
        asked: &Asked<'_>,
        way: &Way,
        name: &str,
    ) -> Result<(Arc<Upstream>, Arc<str>), Fault> {
        let find = || {
            let (server, prompt) = self.prompts.find(name)?;
            Some((self.visible_upstream(asked.caller, &server)?, prompt))
        };
        if let Some(found) = find() {
            return Ok(found);
        }
        self.list_all(asked, way, Kind::Prompts, "{}").await?;
        find().ok_or_else(|| {
            let shown = clip(name, 128);
            Fault::invalid_params(format!("Unknown prompt: {shown}"))
        })
    }

    /// The server that a resource is one of, with its own URI. The page of an App is found by that, too, where one server
    /// alone has a tool that names it: the page itself knows no other.
    pub(super) fn find_uri<'a>(
        &self,
        caller: &Caller,
        uri: &'a str,
    ) -> Option<(Arc<Upstream>, Cow<'a, str>)> {
        let catalog = self.gateway.catalog_builder().catalog();
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

    fn visible_upstream(&self, caller: &Caller, server: &str) -> Option<Arc<Upstream>> {
        let catalog = self.gateway.catalog_builder().catalog();
        let server = catalog.server(server).filter(|server| caller.scope.allows_server(&server.name))?;
        server.upstream().cloned()
    }

    /// The servers that `caller` may see and that say that they have `capability`.
    fn offering(&self, caller: &Caller, capability: &str) -> Vec<Arc<Upstream>> {
        let catalog = self.gateway.catalog_builder().catalog();
        let offering = catalog
            .servers
            .iter()
            .filter(|server| caller.scope.allows_server(&server.name) && has_capability(server, capability));
        offering.filter_map(|server| server.upstream().cloned()).collect()
    }
}

/// Whether the server said so when it was connected last.
pub fn has_capability(server: &CatalogServer, capability: &str) -> bool {
    server.info.as_ref().is_some_and(|info| info.capabilities.contains_key(capability))
}

/// A tool's result as the endpoint of all servers shows it: the URIs of resources name their server.
pub fn tool_result(target: &Target, arguments: &[u8], result: Bytes) -> Bytes {
    #[derive(Deserialize)]
    struct Inner<'a> {
        #[serde(borrow)]
        server: Cow<'a, str>,
    }
    match &target.server.source {
        ServerSource::Upstream(_) => {
            rewritten(result, |splices| in_items(splices, target.server.name.as_str()))
        }
        // What `call_tool` answers with is of the server that it called.
        ServerSource::Gateway => match serde_json::from_slice::<Inner<'_>>(arguments) {
            Ok(inner) => rewritten(result, |splices| in_items(splices, &inner.server)),
            Err(_) => result,
        },
    }
}

/// `result` with what `edit` changes in it; most hold no URI and are not looked through.
fn rewritten(result: Bytes, edit: impl FnOnce(&mut Splices<'_>)) -> Bytes {
    static URI: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\"uri\""));
    if URI.find(&result).is_none() {
        return result;
    }
    let Ok(text) = std::str::from_utf8(&result) else { return result };
    let mut splices = Splices::new(text);
    edit(&mut splices);
    if splices.is_empty() { result.clone() } else { splices.applied().into_owned().into() }
}

/// That there is no such resource, in the words of the era.
pub fn resource_not_found(era: Era, uri: &str) -> Fault {
    let data = serde_json::value::to_raw_value(&json!({ "uri": uri })).ok();
    let code = match era {
        Era::Sessions => error_code::RESOURCE_NOT_FOUND,
        Era::Stateless => error_code::INVALID_PARAMS,
    };
    Fault::of_server(&RpcError { code, message: "Resource not found".to_owned(), data })
}
