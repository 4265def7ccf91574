//! The beginning of a connection: which era the server is of, and what it says of itself.
//!
//! A server of the era of sessions is spoken to by rmcp, over our [`Link`]; one of the stateless era needs no
//! handshake, and is asked by `server/discover`.

mod sessions;
mod stateless;

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value};
use tokio::task::JoinError;
use tokio::time::sleep;

use super::era::{Approach, Era};
use super::error::{EndReason, LinkError, StatusReason, cut_words};
use super::hearing::Hearing;
use super::link::{Link, Opened};
use super::message::{Reply, RpcError};
use super::request::{Manner, Request, STATELESS};
use super::subscriptions::Subscriptions;
use super::{Freshness, ServerInfo};
use crate::config::ServerName;

/// How long a server that runs already may keep silent to the question for its era.
const PROBE_LIMIT: Duration = Duration::from_secs(3);
/// The same for one that is just being started: before it answers anything, there is no telling whether it keeps silent
/// or is slow to start.
const STARTING_LIMIT: Duration = Duration::from_secs(20);
/// A server that answered a later request, a ping, and not that question, gets this much longer: it may answer out of
/// order, and on a busy machine much later. Only servers that ignore what they do not know cost this time.
const GRACE: Duration = Duration::from_secs(2);
/// 2026-07-28, schema, `UNSUPPORTED_PROTOCOL_VERSION`.
const UNSUPPORTED_REVISION: i64 = -32022;

/// How a connection is to be begun.
pub struct Greeting<'a> {
    pub server: &'a ServerName,
    /// The revision that the entry pins.
    pub pin: Option<&'a str>,
    pub era: &'a Era,
    /// Whether requests and answers share one channel, so that order tells something.
    pub is_ordered: bool,
    pub hearing: Arc<dyn Hearing>,
    /// The JSON text of what the client behind the connection is capable of.
    pub capabilities: &'a str,
    /// The resources that the connection's callers follow.
    pub subscriptions: Arc<Subscriptions>,
}

/// The running half of a connection, which reads what the server sends by itself.
pub enum Service {
    Sessions(sessions::Service),
    Stateless(stateless::Service),
}

impl std::fmt::Debug for Service {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Service").finish_non_exhaustive()
    }
}

impl Service {
    /// Ends it and waits for its end.
    ///
    /// # Errors
    ///
    /// When its task panicked.
    pub async fn cancel(self) -> Result<(), JoinError> {
        match self {
            Self::Sessions(service) => service.cancel().await.map(|_reason| ()),
            Self::Stateless(service) => service.cancel().await,
        }
    }
}

/// Begins the connection and waits for what the server says of itself.
///
/// # Errors
///
/// Why there is no connection. A server whose era was known and that does not answer to it is asked anew next time.
pub async fn greet(greeting: Greeting<'_>, opened: Opened) -> Result<(Service, ServerInfo), EndReason> {
    let era = greeting.era;
    let pin = greeting.pin;
    let greeted = match era.approach(pin) {
        Approach::Known(Manner::Sessions) => sessions::initialize(&greeting, opened).await,
        Approach::Known(Manner::Stateless) => {
            opened.link.speech().settle(Manner::Stateless);
            match discover(&*opened.link).await? {
                Found::Stateless(info) => Ok(stateless::attend(greeting, opened, *info)),
                Found::Sessions if pin.is_none() => {
                    opened.link.speech().settle(Manner::Sessions);
                    sessions::initialize(&greeting, opened).await
                }
                Found::Sessions => Err(refused("it does not speak revision 2026-07-28".into())),
            }
        }
        Approach::Probe => {
            let probed = probe(&*opened.link, greeting.is_ordered).await;
            if matches!(
                probed,
                Ok(Found::Sessions) | Err(EndReason::Exited { .. } | EndReason::OutputClosed { .. })
            ) {
                // Should the question itself be what it cannot bear, it is not asked again at the next try.
                era.learn(Manner::Sessions);
            }
            return match probed? {
                Found::Stateless(info) => {
                    era.learn(Manner::Stateless);
                    Ok(stateless::attend(greeting, opened, *info))
                }
                Found::Sessions => {
                    opened.link.speech().settle(Manner::Sessions);
                    sessions::initialize(&greeting, opened).await
                }
            };
        }
    };
    match &greeted {
        Ok((_, info)) => era.learn_from(&info.protocol),
        Err(_) => era.forget(),
    }
    greeted
}

/// What a server turned out to be.
enum Found {
    Stateless(Box<ServerInfo>),
    Sessions,
}

/// Asks a server for its era (2026-07-28, stdio and streamable HTTP, "Backward Compatibility"). Costs no time with
/// servers that answer what they do not know with an error; one that keeps silent is told by the ping that it answers.
async fn probe(link: &dyn Link, is_ordered: bool) -> Result<Found, EndReason> {
    link.speech().settle(Manner::Stateless);
    let pinged = async {
        if !is_ordered {
            return std::future::pending().await;
        }
        match link.request(Request::other("ping", b"").quiet(), None).await {
            Ok(Reply::Result(_) | Reply::Error(_)) => sleep(GRACE).await,
            // The connection has ended, which the question is told, too.
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        biased;
        found = discover(link) => match found {
            // The question itself may be what is refused; what is wrong for good, `initialize` is told, too.
            Err(EndReason::Status(_)) => Ok(Found::Sessions),
            Err(EndReason::Broken(_)) if !is_ordered => Ok(Found::Sessions),
            found => found,
        },
        () = pinged => Ok(Found::Sessions),
        () = sleep(if is_ordered { STARTING_LIMIT } else { PROBE_LIMIT }) => Ok(Found::Sessions),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Discovered {
    supported_versions: Vec<String>,
    #[serde(default)]
    capabilities: Map<String, Value>,
    instructions: Option<String>,
    #[serde(default, rename = "_meta")]
    meta: DiscoveredMeta,
}

#[derive(Default, Deserialize)]
struct DiscoveredMeta {
    #[serde(default, rename = "io.modelcontextprotocol/serverInfo")]
    server_info: Map<String, Value>,
}

#[derive(Deserialize)]
struct Supported {
    supported: Vec<String>,
}

/// `None` from a server of the other era, whatever it makes of the question.
async fn ask(link: &dyn Link) -> Result<Option<Reply>, EndReason> {
    match link.request(Request::other("server/discover", b"").quiet(), None).await {
        Ok(reply) => Ok(Some(reply)),
        Err(LinkError::NotSent(reason) | LinkError::Lost(reason)) => Err(reason),
        Err(LinkError::Status(reason @ StatusReason { status: 401 | 403, .. })) => {
            Err(EndReason::Status(reason))
        }
        Err(_) => Ok(None),
    }
}

async fn discover(link: &dyn Link) -> Result<Found, EndReason> {
    let is_spoken = |revision: &String| revision == STATELESS;
    let mut reply = ask(link).await?;
    if let Some(Reply::Error(error)) = &reply
        && supported(error).iter().any(is_spoken)
    {
        // It refused the very revision that it names: of several behind one address, some may be older.
        reply = ask(link).await?;
    }
    let Some(reply) = reply else { return Ok(Found::Sessions) };
    let offered = match reply {
        Reply::Result(result) => match serde_json::from_slice::<Discovered>(&result) {
            Ok(found) if found.supported_versions.iter().any(is_spoken) => {
                return Ok(Found::Stateless(Box::new(info(found))));
            }
            Ok(found) => found.supported_versions,
            Err(_) => return Ok(Found::Sessions),
        },
        Reply::Error(error) => supported(&error),
    };
    if offered.is_empty() || offered.iter().any(|revision| revision.as_str() < STATELESS) {
        return Ok(Found::Sessions);
    }
    if offered.iter().any(is_spoken) {
        return Err(refused(format!("it refuses revision {STATELESS}, which it says it supports")));
    }
    let offered = cut_words(&offered.join(", "));
    Err(refused(format!("it speaks only revisions that the gateway does not: {offered}")))
}

/// The revisions that a server names which refuses one; none in any other error.
fn supported(error: &RpcError) -> Vec<String> {
    let data = error.data.as_ref().filter(|_| error.code == UNSUPPORTED_REVISION);
    let data = data.and_then(|data| serde_json::from_str::<Supported>(data.get()).ok());
    data.map(|data| data.supported).unwrap_or_default()
}

fn info(found: Discovered) -> ServerInfo {
    let server = found.meta.server_info;
    let text = |key: &str| server.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    ServerInfo {
        name: text("name"),
        version: text("version"),
        instructions: found.instructions.filter(|text| !text.is_empty()),
        protocol: STATELESS.to_owned(),
        capabilities: found.capabilities,
        implementation: server,
        freshness: Freshness::default(),
    }
}

fn refused(error: String) -> EndReason {
    EndReason::Handshake { step: "server/discover", error, stderr: Arc::default() }
}
