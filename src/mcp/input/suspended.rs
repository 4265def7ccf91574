//! Suspended requests: a stateless client behind a server with sessions that asks for input.
//!
//! The client gets the server's questions as an `input_required` result, and the request waits, with its connection,
//! until the client sends its answers (specification 2026-07-28, "Multi Round-Trip Requests").
//!
//! The `requestState` of such a result stands for the waiting request and names the replica that holds it. It resumes the
//! request once, within a few minutes, and only for the same key in the same profile at the same endpoint with the same
//! request.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::OptionFuture;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::active::ActiveRequest;
use super::request_state::{PURPOSE, RequestState};
use crate::catalog::{Caller, CatalogTool};
use crate::config::Replica;
use crate::gateway::{Client, Outcome};
use crate::json::Members;
use crate::mcp::response::fault::{self, Fault};
use crate::mcp::response::finished::Finished;
use crate::mcp::session::id::digest;
use crate::seal::{SealSecrets, Sealer};
use crate::shares::{Bounds, Principal};
use crate::sync::lock;
use crate::unix_time::now;
use crate::upstream::message_queue::Sender;
use crate::upstream::progress::WAITING;
use crate::upstream::{ANSWERED_WITHIN, ClientSide, MessageHandler};

/// The most requests that may wait at one time: of all clients, and of one key.
const MOST: usize = 256;
const MOST_OF_KEY: usize = 64;
/// Questions that a server asks at once go to the client in one round: the longest time from one to the next, and from
/// the first to the last.
const GATHER: Duration = Duration::from_millis(20);
const GATHER_LONGEST: Duration = Duration::from_millis(200);

/// All requests that wait, and the slots of clients without sessions.
#[derive(Debug)]
pub struct SuspendedRequests {
    sealer: Sealer,
    /// This gateway.
    replica: Replica,
    waiting: Mutex<HashMap<String, SuspendedRequest>>,
    slots: Mutex<HashMap<[u8; 32], BTreeSet<u32>>>,
}

/// Where a request waits.
#[derive(Debug, PartialEq, Eq)]
pub enum WaitingPlace {
    Here,
    Elsewhere(Replica),
    /// It has ended, or its replica has.
    Nowhere,
}

/// A request that waits.
struct SuspendedRequest {
    key: RequestKey,
    active: ActiveRequest,
    /// Ends the wait. Dropped with the entry, so that a resumed request leaves no clock behind.
    _clock: AbortOnDropHandle<()>,
}

/// The caller and the digest of a request: only the same request of the same caller resumes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestKey {
    principal: Principal,
    /// The profile that the request asked for.
    profile: Option<Arc<str>>,
    /// Digest of the endpoint and the request.
    request: [u8; 32],
}

/// A slot among the clients that are alike, taken until the value is dropped.
///
/// Each slot has connections of its own, which the next client in the slot uses again.
#[derive(Debug)]
pub struct ConnectionSlot {
    suspended: Arc<SuspendedRequests>,
    alike: [u8; 32],
    number: u32,
}

impl RequestKey {
    /// The key of a request at the endpoint of `server`, or at that of all.
    pub fn new(caller: &Caller, server: Option<&str>, method: &str, params: &Members<'_>) -> Self {
        // These members differ from round to round.
        let same = |name: &str| !matches!(name, "_meta" | "inputResponses" | "requestState");
        let members = params.0.iter().filter(|(name, _)| same(name));
        let texts = members.flat_map(|(name, value)| [&**name, value.get()]);
        let request = digest([server.unwrap_or_default(), method].into_iter().chain(texts));
        Self { principal: caller.principal.clone(), profile: caller.profile.clone(), request }
    }
}

impl SuspendedRequests {
    /// No request yet. What `replica` suspends can be found by all that have these secrets.
    pub fn new(secrets: &SealSecrets, replica: Replica) -> Self {
        let sealer = secrets.sealer(PURPOSE);
        Self { sealer, replica, waiting: Mutex::default(), slots: Mutex::default() }
    }

    /// The client of `side`, with a slot among the clients that are like it.
    pub fn client(
        self: &Arc<Self>,
        side: &ClientSide,
        handler: Arc<dyn MessageHandler>,
    ) -> (ConnectionSlot, Client) {
        let mut slots = lock(&self.slots);
        let taken = slots.entry(side.key).or_default();
        let number =
            (0..).find(|number| !taken.contains(number)).expect("there are more numbers than callers");
        taken.insert(number);
        let mut digest = Sha256::new();
        digest.update(side.key);
        digest.update(number.to_le_bytes());
        let slot = ConnectionSlot { suspended: self.clone(), alike: side.key, number };
        let side = ClientSide { key: digest.finalize().into(), ..side.clone() };
        (slot, Client { side, handler })
    }

    /// Runs the request until it ends or its client has to be asked. Side messages go to `to`.
    pub async fn work(
        self: &Arc<Self>,
        key: impl FnOnce() -> RequestKey,
        mut active: ActiveRequest,
        to: Sender,
        closing: &CancellationToken,
    ) -> Finished {
        // From the first question on: the end of the wait for further ones, and its latest end.
        let mut gathering: Option<(Instant, Instant)> = None;
        loop {
            let until = gathering.map(|(next, last)| next.min(last));
            tokio::select! {
                // The work first: neither messages nor questions without end keep it from its deadline.
                biased;
                finished = &mut active.work => {
                    // Messages that came before the result go before it.
                    for _ in 0..WAITING {
                        let Some(message) = active.messages.try_recv() else { break };
                        let _missed = to.offer(message);
                    }
                    return finished;
                }
                Some(()) = OptionFuture::from(until.map(sleep_until)) => {
                    return self.suspend(key(), active, closing);
                }
                Some(message) = active.messages.recv() => {
                    let _missed = to.offer(message);
                }
                Some(question) = active.questions.recv() => {
                    let now = Instant::now();
                    let last = gathering.map_or(now + GATHER_LONGEST, |(_, last)| last);
                    active.ask(question);
                    gathering = Some((now + GATHER, last));
                    if active.is_full() {
                        return self.suspend(key(), active, closing);
                    }
                }
            }
        }
    }

    /// The request that `state` stands for, with the client's answers.
    ///
    /// # Errors
    ///
    /// When no request of this key waits under that name.
    pub fn resume(
        &self,
        key: &RequestKey,
        state: &str,
        answers: &Members<'_>,
    ) -> Result<ActiveRequest, Fault> {
        let found = {
            let mut waiting = lock(&self.waiting);
            let is_theirs = waiting.get(state).is_some_and(|waiting| waiting.key == *key);
            if is_theirs { waiting.remove(state) } else { None }
        };
        let Some(SuspendedRequest { mut active, .. }) = found else {
            return Err(Fault::unknown_state(
                "`requestState` stands for no request of this kind that waits; send the request without it",
            ));
        };
        active.answer(answers);
        Ok(active)
    }

    /// The place of the request that `state` stands for. `None` for a `state` that no gateway with this key made.
    pub fn place(&self, state: &str) -> Option<WaitingPlace> {
        if lock(&self.waiting).contains_key(state) {
            return Some(WaitingPlace::Here);
        }
        let RequestState { replica, until } = RequestState::open(state, &self.sealer)?;
        // An address that the replica has left is not asked for ever.
        let has_ended = replica == self.replica || until < now();
        Some(if has_ended { WaitingPlace::Nowhere } else { WaitingPlace::Elsewhere(replica) })
    }

    /// Whether a request of the caller's key waits for its client.
    pub fn asks(&self, caller: &Caller) -> bool {
        lock(&self.waiting).values().any(|waiting| waiting.key.principal == caller.principal)
    }

    /// The tool of the call that waits under that name.
    pub fn tool_of(&self, key: &RequestKey, state: &str) -> Option<Arc<CatalogTool>> {
        let waiting = lock(&self.waiting);
        waiting.get(state).filter(|waiting| waiting.key == *key)?.active.called.tool.get().cloned()
    }

    /// Answers with the questions, and keeps the request until the client sends its answers.
    pub fn suspend(
        self: &Arc<Self>,
        key: RequestKey,
        active: ActiveRequest,
        closing: &CancellationToken,
    ) -> Finished {
        let requests = active.asked();
        let until = now() + ANSWERED_WITHIN.as_secs();
        let state = RequestState { replica: self.replica.clone(), until };
        let Ok(state) = state.text(&self.sealer) else {
            return Finished::Fault(Fault::internal("the kernel gives no random numbers"));
        };
        let mut waiting = lock(&self.waiting);
        let own = waiting.values().filter(|waiting| waiting.key.principal == key.principal).count();
        let each = if key.principal.is_anonymous() { MOST } else { MOST_OF_KEY };
        if (Bounds { all: MOST, each }).check(own, waiting.len()).is_err() {
            let why = "too many requests wait for input of their clients; try again later";
            active.give_up(Outcome::TOO_MANY_WAITING, why);
            return Finished::Fault(Fault::internal(why));
        }
        let (this, name, closing) = (Arc::downgrade(self), state.clone(), closing.clone());
        let sign_in_end = active.sign_in_end.clone();
        let clock = tokio::spawn(async move {
            let is_late = tokio::select! {
                () = sleep(ANSWERED_WITHIN) => true,
                () = sign_in_end.comes() => false,
                () = closing.cancelled() => false,
            };
            // Dropping the request cancels it at its server.
            let given_up = this.upgrade().and_then(|this| lock(&this.waiting).remove(&name));
            if let (Some(waiting), true) = (given_up, is_late) {
                let why = "the caller did not come back with the input that it was asked for";
                waiting.active.give_up(Outcome::INPUT_UNAVAILABLE, why);
            }
        });
        waiting
            .insert(state.clone(), SuspendedRequest { key, active, _clock: AbortOnDropHandle::new(clock) });
        drop(waiting);
        Finished::Result(fault::text(&json!({
            "resultType": "input_required",
            "inputRequests": requests,
            "requestState": state,
        })))
    }

    /// Ends the requests of the key `name` that wait.
    pub fn end_of(&self, name: &str) {
        let ended: Vec<SuspendedRequest> = {
            let mut waiting = lock(&self.waiting);
            waiting
                .extract_if(|_, waiting| waiting.key.principal.key_name() == Some(name))
                .map(|(_, ended)| ended)
                .collect()
        };
        // Dropping the requests cancels them at their servers, which must not happen under the lock.
        drop(ended);
    }
}

impl Drop for ConnectionSlot {
    fn drop(&mut self) {
        let mut slots = lock(&self.suspended.slots);
        if let Some(taken) = slots.get_mut(&self.alike) {
            taken.remove(&self.number);
            if taken.is_empty() {
                slots.remove(&self.alike);
            }
        }
    }
}

impl std::fmt::Debug for SuspendedRequest {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("SuspendedRequest").field("key", &self.key).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
