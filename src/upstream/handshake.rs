//! The beginning of a connection: which era the server is of, and what it says of itself.
//!
//! A server of the stateless era is asked by `server/discover`, one of the era of sessions is greeted by `initialize`.

mod incoming;
mod said;
mod sessions;
mod stateless;

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use tokio::task::{JoinError, JoinHandle};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::ServerInfo;
use super::era_cache::EraCache;
use super::error::{EndReason, LinkError, StatusReason, cut_words};
use super::hearing::Hearing;
use super::link::{Link, Opened};
use super::message::{Reply, RpcError};
use super::request::Request;
use super::subscriptions::Subscriptions;
use crate::config::ServerName;
use crate::protocol::error_code::UNSUPPORTED_PROTOCOL_VERSION;
use crate::protocol::revision::STATELESS;
use crate::protocol::{Era, method};
use incoming::Incoming;
use said::Said;

/// How long a server may keep silent to the question for its era before it is greeted as one with sessions, too. It may be
/// one that ignores what it does not know, or slow to start: what it answers then tells which.
const SILENCE: Duration = Duration::from_secs(3);
/// A server that answered a later request, a ping, and not that question, gets this much longer: it may answer out of
/// order, and on a busy machine much later. Only servers that ignore what they do not know cost this time.
const GRACE: Duration = Duration::from_secs(2);
/// How a connection is to be begun.
pub struct Greeting<'a> {
    pub server: &'a ServerName,
    /// The revision that the entry pins.
    pub pin: Option<&'a str>,
    pub era: &'a EraCache,
    /// Whether requests and answers share one channel, so that order tells something.
    pub is_ordered: bool,
    pub hearing: Arc<dyn Hearing>,
    /// The JSON text of what the client behind the connection is capable of.
    pub capabilities: &'a str,
    /// The resources that the connection's callers follow.
    pub subscriptions: Arc<Subscriptions>,
}

/// The task of one connection, which reads what the server sends by itself.
#[derive(Debug)]
pub struct Service {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Service {
    /// Reads on, with `beside` running beside it, until it is cancelled or the connection ends.
    fn start(mut incoming: Incoming, beside: impl Future<Output = Infallible> + Send + 'static) -> Self {
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let task = tokio::spawn(async move {
            tokio::select! {
                () = stopped.cancelled() => {}
                () = incoming.read_on() => {}
                never = beside => match never {},
            }
        });
        Self { stop, task }
    }

    /// Ends it and waits for its end.
    ///
    /// # Errors
    ///
    /// When its task panicked.
    pub async fn cancel(self) -> Result<(), JoinError> {
        self.stop.cancel();
        self.task.await
    }
}

/// Begins the connection and waits for what the server says of itself.
///
/// # Errors
///
/// Why there is no connection. A server whose era was known and that does not answer to it is asked anew next time.
pub async fn greet(greeting: Greeting<'_>, opened: Opened) -> Result<(Service, ServerInfo), EndReason> {
    let doubt = greeting.era.doubt();
    let greeted = begin(greeting, opened).await;
    if greeted.as_ref().err().is_none_or(|reason| !doubt.is_raised_by(reason)) {
        doubt.dispel();
    }
    greeted
}

async fn begin(greeting: Greeting<'_>, opened: Opened) -> Result<(Service, ServerInfo), EndReason> {
    let (era, link) = (greeting.era, opened.link.clone());
    let mut incoming = Incoming::new(&greeting, opened);
    let found = match era.known(greeting.pin) {
        Some(Era::Sessions) => Found::Sessions,
        Some(Era::Stateless) => {
            link.era().learn(Era::Stateless);
            match discover(&*link).await? {
                Found::Sessions if greeting.pin.is_some() => {
                    return Err(refused("it does not speak revision 2026-07-28".into()));
                }
                found => found,
            }
        }
        None => {
            let probed = probe(&greeting, &link, &mut incoming).await;
            let has_ended = matches!(probed, Err(EndReason::Exited { .. } | EndReason::OutputClosed { .. }));
            if has_ended || matches!(probed, Ok(Found::Sessions | Found::Initialized(_))) {
                // Should the question itself be what it cannot bear, it is not asked again at the next try.
                era.learn(Era::Sessions);
            }
            probed?
        }
    };
    let info = match found {
        Found::Stateless(info) => {
            link.era().learn(Era::Stateless);
            era.learn(Era::Stateless);
            return Ok(stateless::attend(greeting, incoming, *info));
        }
        Found::Initialized(info) => *info,
        Found::Sessions => {
            link.era().learn(Era::Sessions);
            sessions::initialize(&greeting, &link, &mut incoming).await?
        }
    };
    link.era().learn(Era::Sessions);
    era.learn(Era::Sessions);
    sessions::tell_initialized(&*link).await?;
    Ok((Service::start(incoming, std::future::pending()), info))
}

/// What a server turned out to be.
enum Found {
    Stateless(Box<ServerInfo>),
    Sessions,
    /// The same, and it has answered `initialize` already.
    Initialized(Box<ServerInfo>),
}

/// Asks a server for its era (2026-07-28, stdio and streamable HTTP, "Backward Compatibility"). Costs no time with
/// servers that answer what they do not know with an error; one that keeps silent is told by the ping that it answers.
async fn probe(
    greeting: &Greeting<'_>,
    link: &Arc<dyn Link>,
    incoming: &mut Incoming,
) -> Result<Found, EndReason> {
    link.era().learn(Era::Stateless);
    let is_ordered = greeting.is_ordered;
    let mut discovering = pin!(async {
        match discover(&**link).await {
            // The question itself may be what is refused; what is wrong for good, `initialize` is told, too.
            Err(EndReason::Status(_)) => Ok(Found::Sessions),
            Err(EndReason::Broken(_)) if !is_ordered => Ok(Found::Sessions),
            found => found,
        }
    });
    let mut pinged = pin!(ping(&**link, is_ordered));
    let pinged_long_ago = async {
        pinged.as_mut().await;
        sleep(GRACE).await;
    };
    let is_refused = tokio::select! {
        biased;
        found = &mut discovering => return found,
        () = incoming.refusal() => true,
        () = pinged_long_ago => return Ok(Found::Sessions),
        () = sleep(SILENCE) => false,
    };
    if is_refused {
        // A server that refuses the ping in the same way does not refuse what it is sent next by that.
        tokio::select! {
            () = incoming.refusal() => {}
            () = pinged => {}
            () = sleep(if is_ordered { GRACE } else { Duration::ZERO }) => {}
        }
        return Ok(Found::Sessions);
    }
    let mut initializing = pin!(sessions::initialize(greeting, link, incoming));
    let initialized = tokio::select! {
        found = &mut discovering => match found? {
            Found::Sessions => initializing.await,
            found => return Ok(found),
        },
        initialized = &mut initializing => match (initialized, &mut discovering) {
            (Ok(info), _) => Ok(info),
            // It may be of the other era, and has yet to say so.
            (Err(reason), discovering) => match timeout(GRACE, discovering).await {
                Ok(Ok(found @ Found::Stateless(_))) => return Ok(found),
                _ => Err(reason),
            },
        },
    };
    Ok(Found::Initialized(Box::new(initialized?)))
}

/// Waits for an answer to a ping. Never ends where the order of answers tells nothing, nor with the connection, which the
/// question for the era is told, too.
async fn ping(link: &dyn Link, is_ordered: bool) {
    if !is_ordered || link.request(Request::other(method::PING, b"").quiet(), None).await.is_err() {
        std::future::pending().await
    }
}

#[derive(Deserialize)]
struct Supported {
    supported: Vec<String>,
}

/// `None` from a server of the other era, whatever it makes of the question.
async fn ask(link: &dyn Link) -> Result<Option<Reply>, EndReason> {
    match link.request(Request::other(method::SERVER_DISCOVER, b"").quiet(), None).await {
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
        Reply::Result(result) => match Said::read(&result) {
            Some(said) if said.revisions.iter().any(is_spoken) => {
                return Ok(Found::Stateless(Box::new(said.info(STATELESS))));
            }
            Some(said) => said.revisions,
            None => return Ok(Found::Sessions),
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
    let data = error.data.as_ref().filter(|_| error.code == UNSUPPORTED_PROTOCOL_VERSION);
    let data = data.and_then(|data| serde_json::from_str::<Supported>(data.get()).ok());
    data.map(|data| data.supported).unwrap_or_default()
}

fn refused(error: String) -> EndReason {
    EndReason::Handshake { step: method::SERVER_DISCOVER, error, stderr: Arc::default() }
}
