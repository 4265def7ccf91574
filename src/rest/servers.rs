//! `GET /servers`: the state of the servers and of the configuration, and facts about the gateway for the caller.
//!
//! A caller that asks again and again sends the last answer's entity tag, and gets 304 for as long as nothing has
//! changed. The seconds until a next try go on counting meanwhile, and replicas say again and again that nothing has
//! changed, so the tag is a weak one; `nextRetryAt` stays.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use http::HeaderMap;
use serde::Serialize;

use super::Rest;
use crate::catalog::Caller;
use crate::gateway::configuration::ConfigurationStatus;
use crate::gateway::status::{ServerStatus, SharedStatus};
use crate::http::answer::{etag_of, json_text};
use crate::http::{Access, Problem, document_answer};
use crate::protocol::media_type::JSON;

#[derive(Serialize)]
struct Listing<'a> {
    gateway: About<'a>,
    configuration: ConfigurationStatus,
    #[serde(skip_serializing_if = "Option::is_none")]
    shared: Option<SharedStatus>,
    servers: Vec<ServerStatus>,
}

/// The facts by which a page or a program describes this gateway.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct About<'a> {
    name: &'a str,
    version: &'static str,
    /// The address that users type, where one is configured.
    #[serde(skip_serializing_if = "Option::is_none")]
    public_url: Option<&'a str>,
    /// Starts and ends with `/`; stands before the path of each server.
    path_prefix: &'a str,
    /// The tools of the one server are at the root.
    single: bool,
    /// API keys are configured.
    keys: bool,
    /// Documents are read without a key.
    open_documents: bool,
    /// The name of this replica, for keys with the `admin` right.
    #[serde(skip_serializing_if = "Option::is_none")]
    replica: Option<&'a str>,
    /// The name of the caller's key.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
    /// The caller has the `admin` right.
    admin: bool,
}

/// `GET /servers`: the list as the caller may see it.
pub async fn list(
    State(rest): State<Arc<Rest>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let mut listing = Listing {
        gateway: about(&rest, &caller),
        configuration: rest.gateway.configuration().status(&caller),
        shared: rest.gateway.shared_status(&caller),
        servers: rest.gateway.servers(&caller).await,
    };
    let body = json_text(&listing)?;
    for server in &mut listing.servers {
        server.next_retry_seconds = None;
    }
    for replica in listing.shared.iter_mut().flat_map(|shared| &mut shared.replicas) {
        replica.forget_moment();
    }
    let etag = format!("W/{}", etag_of(&json_text(&listing)?));
    Ok(document_answer(&body, &etag, JSON, &headers))
}

fn about<'a>(rest: &'a Rest, caller: &'a Caller) -> About<'a> {
    About {
        name: &rest.config.document.name,
        version: env!("CARGO_PKG_VERSION"),
        public_url: rest.config.listen.public_url.as_deref(),
        path_prefix: &rest.config.listen.path_prefix,
        single: rest.config.single,
        keys: !rest.keys.is_open(),
        open_documents: rest.keys.without_credentials(Access::Document).is_some(),
        replica: rest.gateway.replica_name(caller),
        key: caller.principal.key_name(),
        admin: caller.admin,
    }
}
