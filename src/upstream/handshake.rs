//! The beginning of a connection: which era the server is of, and what it says of itself.
//!
//! A stateless server answers `server/discover`, a server with sessions `initialize`.

mod declaration;
pub mod reader;
mod sessions;
mod subscription_listener;

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use tokio::time::{sleep, timeout};

use crate::protocol::error_code::UNSUPPORTED_PROTOCOL_VERSION;
use crate::protocol::revision::STATELESS;
use crate::protocol::{Era, method};
use crate::upstream::connection::{Connection, Opened};
use crate::upstream::error::{CloseReason, RequestError, StatusReason};
use crate::upstream::handshake::declaration::Declaration;
use crate::upstream::handshake::reader::{HandshakeParams, ReaderTask, ServerReader};
use crate::upstream::info::ServerInfo;
use crate::upstream::message::{Reply, RpcError};
use crate::upstream::request::Request;

/// How long a server may leave `server/discover` unanswered before `initialize` is sent, too. It may ignore methods
/// that it does not know, or be slow to start: its next answer shows its era.
const SILENCE: Duration = Duration::from_secs(3);
/// A server that answered a later request, a ping, and not that question, gets this much longer: it may answer out of
/// order, and on a busy machine much later. Only servers that ignore what they do not know cost this time.
const GRACE: Duration = Duration::from_secs(2);

/// Begins the connection and reads the server's declaration of itself.
///
/// # Errors
///
/// Why there is no connection. A server that does not answer in its known era is probed next time.
pub async fn negotiate(
    params: HandshakeParams<'_>,
    opened: Opened,
) -> Result<(ReaderTask, ServerInfo), CloseReason> {
    let guard = params.era.guard();
    let negotiated = begin(params, opened).await;
    if negotiated.as_ref().err().is_none_or(|reason| !guard.may_concern_era(reason)) {
        guard.keep();
    }
    negotiated
}

async fn begin(params: HandshakeParams<'_>, opened: Opened) -> Result<(ReaderTask, ServerInfo), CloseReason> {
    let (era, connection) = (params.era, opened.connection.clone());
    let mut reader = ServerReader::new(&params, opened);
    let found = match era.known(params.pin) {
        Some(Era::Sessions) => DetectedEra::Sessions,
        Some(Era::Stateless) => {
            connection.era().learn(Era::Stateless);
            match discover(&*connection).await? {
                DetectedEra::Sessions if params.pin.is_some() => {
                    return Err(refused("it does not speak revision 2026-07-28"));
                }
                found => found,
            }
        }
        None => {
            let probed = probe(&params, &connection, &mut reader).await;
            let has_ended =
                matches!(probed, Err(CloseReason::Exited { .. } | CloseReason::OutputClosed { .. }));
            if has_ended || matches!(probed, Ok(DetectedEra::Sessions | DetectedEra::Initialized(_))) {
                // Should the question itself be what it cannot bear, it is not asked again at the next try.
                era.learn(Era::Sessions);
            }
            probed?
        }
    };
    let info = match found {
        DetectedEra::Stateless(info) => {
            connection.era().learn(Era::Stateless);
            era.learn(Era::Stateless);
            return Ok(subscription_listener::start_reader(params, reader, *info));
        }
        DetectedEra::Initialized(info) => *info,
        DetectedEra::Sessions => {
            connection.era().learn(Era::Sessions);
            sessions::initialize(&params, &connection, &mut reader).await?
        }
    };
    connection.era().learn(Era::Sessions);
    era.learn(Era::Sessions);
    sessions::send_initialized(&*connection).await?;
    Ok((ReaderTask::start(reader, std::future::pending()), info))
}

/// The era of a server, as its answers show it.
enum DetectedEra {
    Stateless(Box<ServerInfo>),
    Sessions,
    /// A server with sessions that has answered `initialize` already.
    Initialized(Box<ServerInfo>),
}

/// Probes a server for its era (2026-07-28, stdio and streamable HTTP, "Backward Compatibility"). Costs no time with
/// servers that answer an unknown method with an error; the answer to a ping reveals a silent one.
async fn probe(
    params: &HandshakeParams<'_>,
    connection: &Arc<dyn Connection>,
    reader: &mut ServerReader,
) -> Result<DetectedEra, CloseReason> {
    connection.era().learn(Era::Stateless);
    let is_ordered = params.is_ordered;
    let mut discovering = pin!(async {
        match discover(&**connection).await {
            // The probe itself may be refused; a permanent fault shows in `initialize`, too.
            Err(CloseReason::Status(_)) => Ok(DetectedEra::Sessions),
            Err(CloseReason::Broken(_)) if !is_ordered => Ok(DetectedEra::Sessions),
            found => found,
        }
    });
    let mut pinged = pin!(ping(&**connection, is_ordered));
    let pinged_long_ago = async {
        pinged.as_mut().await;
        sleep(GRACE).await;
    };
    let is_refused = tokio::select! {
        biased;
        found = &mut discovering => return found,
        () = reader.refusal() => true,
        () = pinged_long_ago => return Ok(DetectedEra::Sessions),
        () = sleep(SILENCE) => false,
    };
    if is_refused {
        // A server that refuses the ping in the same way does not refuse what it is sent next by that.
        tokio::select! {
            () = reader.refusal() => {}
            () = pinged => {}
            () = sleep(if is_ordered { GRACE } else { Duration::ZERO }) => {}
        }
        return Ok(DetectedEra::Sessions);
    }
    let mut initializing = pin!(sessions::initialize(params, connection, reader));
    let initialized = tokio::select! {
        found = &mut discovering => match found? {
            DetectedEra::Sessions => initializing.await,
            found => return Ok(found),
        },
        initialized = &mut initializing => match (initialized, &mut discovering) {
            (Ok(info), _) => Ok(info),
            // It may be of the other era, and has yet to say so.
            (Err(reason), discovering) => match timeout(GRACE, discovering).await {
                Ok(Ok(found @ DetectedEra::Stateless(_))) => return Ok(found),
                _ => Err(reason),
            },
        },
    };
    Ok(DetectedEra::Initialized(Box::new(initialized?)))
}

/// Waits for an answer to a ping. Never ends where the order of answers means nothing, nor when the connection ends:
/// the probe sees that, too.
async fn ping(connection: &dyn Connection, is_ordered: bool) {
    if !is_ordered || connection.request(Request::other(method::PING, b"").quiet(), None).await.is_err() {
        std::future::pending().await
    }
}

#[derive(Deserialize)]
struct Supported {
    supported: Vec<String>,
}

/// Asks for the era; `None` from a server of the other era, whatever its answer.
async fn ask(connection: &dyn Connection) -> Result<Option<Reply>, CloseReason> {
    match connection.request(Request::other(method::SERVER_DISCOVER, b"").quiet(), None).await {
        Ok(reply) => Ok(Some(reply)),
        Err(RequestError::NotSent(reason) | RequestError::Lost(reason)) => Err(reason),
        Err(RequestError::Status(reason @ StatusReason { status: 401 | 403, .. })) => {
            Err(CloseReason::Status(reason))
        }
        Err(_) => Ok(None),
    }
}

async fn discover(connection: &dyn Connection) -> Result<DetectedEra, CloseReason> {
    let is_spoken = |revision: &String| revision == STATELESS;
    let mut reply = ask(connection).await?;
    if let Some(Reply::Error(error)) = &reply
        && supported(error).iter().any(is_spoken)
    {
        // It refused the very revision that it names: of several behind one address, some may be older.
        reply = ask(connection).await?;
    }
    let Some(reply) = reply else { return Ok(DetectedEra::Sessions) };
    let offered = match reply {
        Reply::Result(result) => match Declaration::read(&result) {
            Some(said) if said.revisions.iter().any(is_spoken) => {
                return Ok(DetectedEra::Stateless(Box::new(said.info(STATELESS))));
            }
            Some(said) => said.revisions,
            None => return Ok(DetectedEra::Sessions),
        },
        Reply::Error(error) => supported(&error),
    };
    if offered.is_empty() || offered.iter().any(|revision| revision.as_str() < STATELESS) {
        return Ok(DetectedEra::Sessions);
    }
    if offered.iter().any(is_spoken) {
        return Err(refused(&format!("it refuses revision {STATELESS}, which it says it supports")));
    }
    let offered = offered.join(", ");
    Err(refused(&format!("it speaks only revisions that the gateway does not: {offered}")))
}

/// The revisions that a server names which refuses one; none in any other error.
fn supported(error: &RpcError) -> Vec<String> {
    let data = error.data.as_ref().filter(|_| error.code == UNSUPPORTED_PROTOCOL_VERSION);
    let data = data.and_then(|data| serde_json::from_str::<Supported>(data.get()).ok());
    data.map(|data| data.supported).unwrap_or_default()
}

fn refused(error: &str) -> CloseReason {
    CloseReason::handshake(method::SERVER_DISCOVER, error)
}
