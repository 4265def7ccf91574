//! From a method's name to who answers it, in both eras.

use std::sync::Arc;

use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderValue, StatusCode};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::answer::{self, Fault, with_members};
use super::handshake::REVISIONS;
use super::message::Message;
use super::place::Place;
use super::session::Session;
use super::stateless::Declared;
use super::{Mcp, REVISION, events, others};
use crate::catalog::Caller;

/// How long a client may use a list before it asks again, in milliseconds: short, since a server that comes back
/// with other tools is what lists are there to tell. Servers of the older era say nothing of it themselves.
const LIST_TTL: u32 = 10_000;

/// A request as all methods see it.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    pub head: &'a Parts,
    pub caller: &'a Caller,
    pub place: &'a Place,
}

/// Which era's rules hold for an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Era {
    Sessions,
    Stateless,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Cancelled<'a> {
    #[serde(borrow)]
    request_id: &'a RawValue,
}

impl Mcp {
    /// Answers a message of a session.
    pub(super) async fn in_session(
        self: &Arc<Self>,
        asked: &Asked<'_>,
        session: &Arc<Session>,
        message: &Message<'_>,
    ) -> Response {
        let revision = asked.head.headers.get(REVISION).map(HeaderValue::as_bytes);
        if revision.is_some_and(|revision| !REVISIONS.iter().any(|known| known.as_bytes() == revision)) {
            let fault =
                Fault::invalid_request("the header MCP-Protocol-Version names no revision with sessions");
            return fault.at(answer::Status::Always(StatusCode::BAD_REQUEST)).response(message.id());
        }
        match message {
            Message::Request { id, method, params } => {
                let request = session.request(id);
                if method == "tools/call"
                    && let Some(token) = events::progress_token(&asked.head.headers, params)
                {
                    return self.call_in_events(asked, Era::Sessions, id, params, token, Some(request));
                }
                let performed = self.perform(asked, Era::Sessions, method, params);
                match request.cancelled.run_until_cancelled(performed).await {
                    Some(Ok(result)) => answer::result(id, &result),
                    Some(Err(fault)) => fault.response_in_session(id),
                    // Whoever cancels expects no answer.
                    None => StatusCode::ACCEPTED.into_response(),
                }
            }
            Message::Notification { method, params } => {
                if method == "notifications/cancelled"
                    && let Ok(cancelled) = serde_json::from_str::<Cancelled<'_>>(params)
                {
                    session.cancel(cancelled.request_id.get());
                }
                StatusCode::ACCEPTED.into_response()
            }
            Message::Response => StatusCode::ACCEPTED.into_response(),
        }
    }

    /// Answers a message that declares itself.
    pub(super) async fn stateless(
        self: &Arc<Self>,
        asked: &Asked<'_>,
        _declared: &Declared,
        message: &Message<'_>,
    ) -> Response {
        let Message::Request { id, method, params } = message else {
            return StatusCode::ACCEPTED.into_response();
        };
        if method == "subscriptions/listen" {
            return self.listen(asked, id, params);
        }
        if method == "tools/call"
            && let Some(token) = events::progress_token(&asked.head.headers, params)
        {
            return self.call_in_events(asked, Era::Stateless, id, params, token, None);
        }
        match self.perform(asked, Era::Stateless, method, params).await {
            Ok(result) => answer::result(id, &Era::Stateless.completed(method, result, self.is_open())),
            Err(fault) => fault.response(Some(id)),
        }
    }

    async fn perform(&self, asked: &Asked<'_>, era: Era, method: &str, params: &str) -> Result<Bytes, Fault> {
        match (method, era) {
            ("tools/call", _) => self.call(asked, params, None).await,
            ("tools/list", _) => Ok(self.list_tools(asked).await),
            ("ping", Era::Sessions) => Ok(Bytes::from_static(b"{}")),
            ("server/discover", Era::Stateless) => Ok(self.discover(asked).await),
            _ if others::METHODS.contains(&method) => self.other(asked, era, method, params).await,
            _ => Err(Fault::method_not_found(method)),
        }
    }

    async fn list_tools(&self, asked: &Asked<'_>) -> Bytes {
        self.first_outcomes(asked).await;
        let list = self.tool_list(asked.caller, asked.place);
        let mut text = Vec::with_capacity(list.len() + 10);
        text.extend_from_slice(b"{\"tools\":");
        text.extend_from_slice(&list);
        text.push(b'}');
        text.into()
    }

    /// The JSON text of the tools that `caller` sees at `place`.
    pub(super) fn tool_list(&self, caller: &Caller, place: &Place) -> Bytes {
        let catalog = self.gateway.keeper().catalog();
        match place {
            Place::All => catalog.tool_list(&caller.scope),
            Place::One(name) => catalog
                .server(name)
                .filter(|server| caller.scope.allows_server(&server.name))
                .map_or(Bytes::from_static(b"[]"), |server| server.tool_list(&caller.scope)),
        }
    }

    /// Waits, for a few seconds at most, until the servers of the endpoint have been heard of.
    pub(super) async fn first_outcomes(&self, asked: &Asked<'_>) {
        let concerns = |name: &crate::config::ServerName| match asked.place {
            Place::All => asked.caller.scope.allows_server(name),
            Place::One(server) => name.as_str() == server,
        };
        self.gateway.keeper().first_outcomes(concerns).await;
    }
}

impl Era {
    /// The result in this era's form.
    pub fn completed(self, method: &str, result: Bytes, is_open: bool) -> Bytes {
        match self {
            Self::Sessions => result,
            Self::Stateless => completed(method, result, is_open),
        }
    }
}

/// A result with what the stateless era wants of each (2026-07-28, schema, `Result` and `CacheableResult`), where its
/// server did not say it itself.
fn completed(method: &str, result: Bytes, is_open: bool) -> Bytes {
    #[derive(Default, Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Said<'a> {
        #[serde(borrow)]
        result_type: Option<&'a RawValue>,
        #[serde(borrow)]
        ttl_ms: Option<&'a RawValue>,
        #[serde(borrow)]
        cache_scope: Option<&'a RawValue>,
    }
    let said: Said<'_> = serde_json::from_slice(&result).unwrap_or_default();
    let mut members = Vec::with_capacity(3);
    if said.result_type.is_none() {
        members.push(r#""resultType":"complete""#.to_owned());
    }
    let ttl = match method {
        "server/discover" | "tools/list" | "prompts/list" | "resources/list" | "resources/templates/list" => {
            Some(LIST_TTL)
        }
        // Only its server knows how long it holds.
        "resources/read" => Some(0),
        _ => None,
    };
    if let Some(ttl) = ttl {
        if said.ttl_ms.is_none() {
            members.push(format!(r#""ttlMs":{ttl}"#));
        }
        if said.cache_scope.is_none() {
            // With keys, what is listed hangs on whose it is.
            members.push(format!(r#""cacheScope":"{}""#, if is_open { "public" } else { "private" }));
        }
    }
    if members.is_empty() { result } else { with_members(&result, &members.join(",")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_get_what_their_server_did_not_say() {
        let complete = |method, text: &'static str| {
            String::from_utf8(completed(method, Bytes::from_static(text.as_bytes()), false).to_vec()).unwrap()
        };
        assert_eq!(complete("tools/call", r#"{"content":[]}"#), r#"{"resultType":"complete","content":[]}"#);
        assert_eq!(complete("tools/call", r#"{"resultType":"x"}"#), r#"{"resultType":"x"}"#);
        assert_eq!(complete("ping", "{}"), r#"{"resultType":"complete"}"#);
        assert_eq!(
            complete("resources/read", r#" { "ttlMs": 5, "contents":[]}"#),
            r#"{"resultType":"complete","cacheScope":"private", "ttlMs": 5, "contents":[]}"#
        );
    }
}
