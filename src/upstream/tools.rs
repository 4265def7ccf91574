//! A server's tool list: all its pages, each tool exactly as the server defined it.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value};
use tokio::time::{sleep, timeout};

use super::error::{EndReason, LinkError, cut_words};
use super::header_params;
use super::link::Link;
use super::message::Reply;
use super::request::{Request, What};
use super::{
    Change, ClientSide, Connection, Freshness, Hearing, Identity, NoConnection, Relay, ServerInfo, TRY_AGAIN,
    ToolList, Unavailable, Upstream,
};
use crate::config::ServerName;

/// A list longer than this is cut: a server whose pages never end must not fill the memory.
const MOST_TOOLS: usize = 50_000;
/// Bytes of all pages together, for the same reason; ten thousand real tools. In memory they take up to twenty
/// times as much.
const MOST_BYTES: usize = 16 << 20;
const MOST_PAGES: usize = 10_000;
/// How long the list of one client's own connection may take, which is read once for all clients that declare the same. A
/// server that answers one request after the other answers this one when a person has answered its question.
const PATIENCE: Duration = Duration::from_secs(300);
/// How long it waits for the connection's first call to go ahead.
const COURTESY: Duration = Duration::from_millis(200);
/// JSON-RPC's "method not found": the server has no tools.
const METHOD_NOT_FOUND: i64 = -32601;

/// One tool as defined by its server; nothing is dropped.
pub type Definition = Arc<Map<String, Value>>;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Page {
    tools: Vec<Value>,
    #[serde(default)]
    next_cursor: Option<String>,
    #[serde(default)]
    ttl_ms: Option<Value>,
    #[serde(default)]
    cache_scope: Option<Value>,
}

impl Page {
    fn freshness(&self) -> Freshness {
        Freshness {
            ttl: self.ttl_ms.as_ref().and_then(Value::as_u64),
            is_private: self.cache_scope.as_ref().and_then(Value::as_str) == Some("private"),
        }
    }
}

/// Reads all pages of `tools/list`. What is no tool (no object, no name) is skipped with a warning, so
/// that it cannot take the good ones with it; so is one whose `x-mcp-header` is invalid, where the server may ask for
/// headers.
pub async fn list(server: &ServerName, link: &dyn Link) -> Result<(Vec<Definition>, Freshness), EndReason> {
    let mut tools = Vec::new();
    let mut freshness = Freshness::default();
    let mut cursor: Option<String> = None;
    let mut seen = HashSet::new();
    let mut bytes_read = 0;
    loop {
        let request = Request::plain(What::ListTools { cursor: cursor.as_deref() });
        let page = match link.request(request, None).await {
            Ok(Reply::Result(bytes)) => {
                bytes_read += bytes.len();
                parse_page(&bytes)?
            }
            Ok(Reply::Error(error)) if error.code == METHOD_NOT_FOUND && tools.is_empty() => {
                return Ok((tools, freshness));
            }
            Ok(Reply::Error(error)) => return Err(failed(cut_words(&error.message))),
            Err(LinkError::NotSent(reason) | LinkError::Lost(reason)) => return Err(reason),
            Err(LinkError::Status(reason)) => return Err(EndReason::Status(reason)),
            Err(error) => return Err(failed(error.to_string())),
        };
        freshness = freshness.and(page.freshness());
        for tool in page.tools {
            match tool {
                Value::Object(tool) if tool.get("name").is_some_and(Value::is_string) => {
                    match header_params::check(&tool, link) {
                        Ok(()) => tools.push(Arc::new(tool)),
                        Err(reason) => {
                            let name = tool["name"].as_str().unwrap_or_default();
                            tracing::warn!(mcp_server = %server, mcp_tool = name, "{server}: the tool `{name}` is left out: {reason}")
                        }
                    }
                }
                other => {
                    tracing::warn!(mcp_server = %server, kind = kind(&other), "{server}: an entry of its tool list is no tool (an object with a `name`) and is skipped")
                }
            }
        }
        if tools.len() > MOST_TOOLS || bytes_read > MOST_BYTES || seen.len() > MOST_PAGES {
            let count = tools.len().min(MOST_TOOLS);
            tracing::warn!(mcp_server = %server, "{server}: its tool list is cut after {count} tools");
            tools.truncate(MOST_TOOLS);
            return Ok((tools, freshness));
        }
        match page.next_cursor {
            Some(next) if seen.insert(next.clone()) => cursor = Some(next),
            Some(_) => {
                tracing::warn!(mcp_server = %server, "{server}: its tool list goes in circles (a cursor came twice)");
                return Ok((tools, freshness));
            }
            None => return Ok((tools, freshness)),
        }
    }
}

fn parse_page(bytes: &[u8]) -> Result<Page, EndReason> {
    serde_json::from_slice(bytes).map_err(|error| {
        // The error's own text quotes what it stumbles over.
        let (line, column) = (error.line(), error.column());
        failed(format!("its answer is no tool list (line {line}, column {column})"))
    })
}

impl Upstream {
    /// The tools that the server offers to `client` alone, over the connection that is its own; `None` when it has none.
    /// The caller bounds the wait.
    ///
    /// # Errors
    ///
    /// When there is no such connection, or the list cannot be read.
    pub async fn tools_for(
        &self,
        identity: Option<&Identity>,
        client: &ClientSide,
        hearing: Arc<dyn Hearing>,
    ) -> Result<Option<ToolList>, NoConnection> {
        let Connection::Dedicated(lease) = self.connection(identity, Some(client)).await? else {
            return Ok(None);
        };
        lease.relay().attach(hearing);
        let (tools, freshness) = list(self.name(), &*lease).await.map_err(|reason| {
            let reason = Some(Arc::new(reason));
            NoConnection::Unavailable(Unavailable { reason, retry_after: TRY_AGAIN })
        })?;
        self.compare(client, &tools);
        let info = self.tools().map(|list| list.info.clone()).unwrap_or_default();
        let info = ServerInfo { freshness, ..info };
        Ok(Some(ToolList { info, tools, revision: 0 }))
    }

    /// Whether `client` may get other tools than everybody: clients that declare the same do, or its own connection, which
    /// is open, has said so. Opens and asks nothing.
    pub fn may_offer_others(&self, identity: Option<&Identity>, client: &ClientSide) -> bool {
        let has_other_tools =
            || self.own_relay(identity, client).is_some_and(|relay| relay.has_other_tools());
        self.offers.differ(&client.capabilities) == Some(true) || has_other_tools()
    }

    /// Who hears the connection that is `client`'s alone, if it is open now.
    pub fn own_relay(&self, identity: Option<&Identity>, client: &ClientSide) -> Option<Arc<Relay>> {
        self.identities.relay(&Identity::of_client(identity, client))
    }

    /// Finds out over a new connection of `client`'s own whether clients like it get other tools than everybody, unless
    /// that is known. The call that the connection was made for goes first.
    pub(super) async fn explore(&self, client: &ClientSide, link: &dyn Link) {
        let is_known = || self.offers.differ(&client.capabilities).is_some();
        if &*client.capabilities == "{}" || is_known() {
            return;
        }
        sleep(COURTESY).await;
        if is_known() {
            return;
        }
        let why = match timeout(PATIENCE, list(self.name(), link)).await {
            Ok(Ok((tools, _))) => return self.compare(client, &tools),
            Ok(Err(reason)) => reason.without_words().to_string(),
            Err(_) => format!("no answer within {} s", PATIENCE.as_secs()),
        };
        // That says nothing of what such clients get: it is asked once more over the next connection of one.
        let name = self.name();
        tracing::debug!(mcp_server = %name, "{name}: its tools for a client of its own are not known: {why}");
    }

    /// Takes note of whether the tools of `client` differ from those of everybody. When they do, and that is news, clients
    /// are told that the list has changed: some will find more in it.
    fn compare(&self, client: &ClientSide, tools: &[Definition]) {
        let differ = self.tools().is_none_or(|list| list.tools != tools);
        if self.offers.learn(&client.capabilities, differ) {
            self.changes.announce(self.name(), Change::Tools);
        }
    }
}

fn failed(error: String) -> EndReason {
    EndReason::Handshake { step: "tools/list", error, stderr: Arc::default() }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Object(_) => "object without a name",
        Value::Array(_) => "array",
        Value::String(_) => "string",
        Value::Number(_) => "number",
        Value::Bool(_) => "boolean",
        Value::Null => "null",
    }
}
