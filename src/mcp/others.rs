//! Resources, prompts and completion: those of one server are passed through as they are, those of all stand together
//! ([`super::all`]).

use bytes::Bytes;

use super::Mcp;
use super::answer::Fault;
use super::entries::{self, Kind};
use super::methods::Asked;
use super::place::Place;
use super::way::Way;
use crate::catalog::definition::Findings;
use crate::compute;
use crate::gateway::{CallError, PassThrough};
use crate::json::{Members, one_line_text};
use crate::protocol::{Era, error_code, meta, method};
use crate::upstream::words::of_wrong_result;
use crate::upstream::{Reply, Upstream};

/// What is passed through. None of it changes anything.
pub const METHODS: [&str; 6] = [
    method::RESOURCES_LIST,
    method::RESOURCES_TEMPLATES_LIST,
    method::RESOURCES_READ,
    method::PROMPTS_LIST,
    method::PROMPTS_GET,
    method::COMPLETION_COMPLETE,
];

impl Mcp {
    /// # Errors
    ///
    /// The server's own error; that there is no such thing.
    pub(super) async fn other(
        &self,
        asked: &Asked<'_>,
        method: &str,
        params: &str,
        way: &Way,
    ) -> Result<Bytes, Fault> {
        let Place::One(name) = asked.place else { return self.at_all(asked, way, method, params).await };
        let Some(upstream) = self.upstream(name) else { return Err(Fault::method_not_found(method)) };
        let result = self.pass_on(asked, &upstream, method, params, way).await?;
        let Some(kind) = Kind::of(method) else { return Ok(result) };
        let size = result.len();
        let read = move || {
            let mut findings = Findings::default();
            (entries::readable_page(kind, result, &mut findings), findings)
        };
        let owner = asked.caller.owner(name);
        let (page, findings) = compute::run_sized(owner, size, read).await;
        findings.tell(upstream.name(), kind.one(), Some(&self.shared.told));
        page.map_err(|_| Fault::internal("the server's answer is no list"))
    }

    /// Asks `upstream` in the caller's name, with those of his headers that go along to it.
    ///
    /// # Errors
    ///
    /// The server's own error.
    pub(super) async fn pass_on(
        &self,
        asked: &Asked<'_>,
        upstream: &Upstream,
        method: &str,
        params: &str,
        way: &Way,
    ) -> Result<Bytes, Fault> {
        let params = Params::read(params)?;
        let server_era = upstream.era();
        way.rounds_to(server_era, params.has_state, String::new)?;
        let ask = PassThrough { method, members: params.members, name: params.name.as_deref() };
        let context = self.forwarding_context(asked);
        let (mut outgoing, mut round) = (way.outgoing(server_era, String::new(), params.meta), 0);
        let reply = loop {
            let turn = asked.large.turn.take();
            let reply = self.gateway.ask(&context, upstream, &ask, &outgoing, turn).await;
            if !way.goes_on(&reply, &mut round, &mut outgoing).await? {
                break reply;
            }
        };
        match reply {
            Ok(Reply::Result(result)) => {
                let (size, era) = (result.len(), way.era);
                let told = move |result: &Bytes| {
                    let members = serde_json::from_slice::<Members<'_>>(result)?;
                    Ok::<_, serde_json::Error>(
                        Way::told(era, server_era, members, false)?.unwrap_or_else(|| result.clone()),
                    )
                };
                let read = move || told(&result).map_err(|_| of_wrong_result("no result", &result));
                let owner = asked.caller.owner(upstream.name().as_str());
                compute::run_sized(owner, size, read).await.map_err(Fault::internal)
            }
            Ok(Reply::Error(mut error)) => {
                if way.era == Era::Stateless && error.code == error_code::RESOURCE_NOT_FOUND {
                    error.code = error_code::INVALID_PARAMS;
                }
                Err(Fault::of_server(&error))
            }
            Err(CallError::Limited(limited)) => Err(Fault::limited(&limited)),
            Err(error) => {
                let why = error.full();
                tracing::warn!(mcp_server = %upstream.name(), "{}: {method} failed: {why}", upstream.name());
                Err(Fault::internal(format!("{}: {}", upstream.name(), error.told(asked.caller))))
            }
        }
    }
}

/// The params of a request, taken apart for the next hop.
struct Params {
    /// All members but `_meta`, as JSON text without braces.
    members: Bytes,
    /// The members of `_meta` that are the client's own, in the same form: neither the token of its progress nor what a
    /// request of the stateless era declares.
    meta: String,
    /// What is asked for by name or URI.
    name: Option<String>,
    /// Whether the client brings back what it was asked.
    has_state: bool,
}

impl Params {
    fn read(params: &str) -> Result<Self, Fault> {
        let mut members: Members<'_> =
            serde_json::from_str(params).map_err(|_| Fault::invalid_params("`params` must be an object"))?;
        let meta = members.get("_meta").and_then(|meta| serde_json::from_str::<Members<'_>>(meta.get()).ok());
        let mut meta = meta.unwrap_or_default();
        meta.0.retain(|(key, _)| key != meta::PROGRESS_TOKEN && !key.starts_with(meta::RESERVED));
        members.0.retain(|(key, _)| key != "_meta");
        let name = members.get("name").or_else(|| members.get("uri"));
        let name = name.and_then(|name| serde_json::from_str(name.get()).ok());
        let has_state = members.get("requestState").is_some();
        let meta = one_line_text(meta.inner());
        Ok(Self { members: members.inner().into(), meta, name, has_state })
    }
}
