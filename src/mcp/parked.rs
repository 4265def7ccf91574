//! A client of the stateless era behind a server with sessions: what the server asks while it works on a request is
//! answered by a result that wants input, and the request waits, with its connection, for the client to come back
//! (specification 2026-07-28, "Multi Round-Trip Requests").
//!
//! The `requestState` that the client brings back is a random number that stands for the waiting request: it means
//! nothing elsewhere, opens it once, to the same key in the same profile at the same endpoint with the same request, and
//! for a few minutes.

mod running;

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::json;
use sha2::{Digest as _, Sha256};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::answer::{self, Fault};
use super::session::new_id;
use super::streamed::Finished;
use crate::catalog::{Caller, CatalogTool};
use crate::gateway::Outcome;
use crate::json::Members;
use crate::shares::{Bounds, Principal};
use crate::upstream::message_queue::Sender;
use crate::upstream::progress::WAITING;
use crate::upstream::{ANSWERED_WITHIN, ClientSide};
pub use running::{Called, Ends, Running};

/// Requests that may wait at one time: of all clients, and of one key.
const MOST: usize = 256;
const MOST_OF_KEY: usize = 64;
/// What a server asks at once comes to the client in one round: its questions may be this far apart, and the last of them
/// from the first.
const GATHER: Duration = Duration::from_millis(20);
const GATHER_LONGEST: Duration = Duration::from_millis(200);
/// What a `requestState` of ours begins with.
const STATE: &str = "mcpo.";

/// All requests that wait, and the places of clients without sessions.
#[derive(Debug, Default)]
pub struct Parked {
    waiting: Mutex<HashMap<String, Waiting>>,
    places: Mutex<HashMap<[u8; 32], BTreeSet<u32>>>,
}

/// A request that waits.
struct Waiting {
    owner: Owner,
    running: Running,
    /// Ends the wait; gone with it, so that a client that comes back leaves no clock behind.
    _clock: AbortOnDropHandle<()>,
}

/// Whose a request is, and which.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    principal: Principal,
    /// The one that the request asked for.
    profile: Option<Arc<str>>,
    /// Digest of the endpoint and the request.
    request: [u8; 32],
}

/// A place among the callers that are alike, taken until this is dropped: each has a connection of its own, which the
/// next caller in that place uses again.
#[derive(Debug)]
pub struct Place {
    parked: Arc<Parked>,
    alike: [u8; 32],
    number: u32,
}

impl Owner {
    pub fn new(caller: &Caller, endpoint: &str, method: &str, params: &Members<'_>) -> Self {
        let mut digest = Sha256::new();
        for text in [endpoint, method] {
            digest.update(text.len().to_le_bytes());
            digest.update(text);
        }
        // What differs from round to round is no part of what the request is.
        let same = |name: &str| !matches!(name, "_meta" | "inputResponses" | "requestState");
        for (name, value) in params.0.iter().filter(|(name, _)| same(name)) {
            for text in [&**name, value.get()] {
                digest.update(text.len().to_le_bytes());
                digest.update(text);
            }
        }
        let (principal, profile) = (caller.principal(), caller.profile.clone());
        Self { principal, profile, request: digest.finalize().into() }
    }
}

impl Parked {
    /// A place among the callers that are like `side`, and the side of the caller in that place.
    pub fn place(self: &Arc<Self>, side: &ClientSide) -> (Place, ClientSide) {
        let mut places = self.places();
        let taken = places.entry(side.key).or_default();
        let number =
            (0..).find(|number| !taken.contains(number)).expect("there are more numbers than callers");
        taken.insert(number);
        let mut digest = Sha256::new();
        digest.update(side.key);
        digest.update(number.to_le_bytes());
        let place = Place { parked: self.clone(), alike: side.key, number };
        (place, ClientSide { key: digest.finalize().into(), ..side.clone() })
    }

    /// Works on until the result is there, or the client has to be asked. What comes beside goes to `to`.
    pub async fn work(
        self: &Arc<Self>,
        owner: Owner,
        mut running: Running,
        to: Sender,
        closing: &CancellationToken,
    ) -> Finished {
        // From the first question on: until when further ones are waited for, and until when at most.
        let mut gathering: Option<(Instant, Instant)> = None;
        loop {
            let until = gathering.map(|(next, last)| next.min(last));
            tokio::select! {
                // The work first: neither messages nor questions without end keep it from its deadline.
                biased;
                finished = &mut running.work => {
                    // What was said before the result goes before it.
                    for _ in 0..WAITING {
                        let Some(message) = running.messages.try_recv() else { break };
                        let _missed = to.offer(message);
                    }
                    return finished;
                }
                () = sleep_until(until.unwrap_or_else(Instant::now)), if until.is_some() => {
                    return self.park(owner, running, closing);
                }
                Some(message) = running.messages.recv() => {
                    let _missed = to.offer(message);
                }
                Some(question) = running.questions.recv() => {
                    let now = Instant::now();
                    let last = gathering.map_or(now + GATHER_LONGEST, |(_, last)| last);
                    running.ask(question);
                    gathering = Some((now + GATHER, last));
                    if running.is_full() {
                        return self.park(owner, running, closing);
                    }
                }
            }
        }
    }

    /// The request that `state` stands for, with the client's answers.
    ///
    /// # Errors
    ///
    /// When nothing of this owner's waits under that name.
    pub fn resume(&self, owner: &Owner, state: &str, answers: &Members<'_>) -> Result<Running, Fault> {
        let found = {
            let mut waiting = self.waiting();
            let is_theirs = waiting.get(state).is_some_and(|waiting| waiting.owner == *owner);
            if is_theirs { waiting.remove(state) } else { None }
        };
        let Some(Waiting { mut running, .. }) = found else {
            return Err(Fault::unknown_state(
                "`requestState` stands for no request of this kind that waits; send the request without it",
            ));
        };
        running.answer(answers);
        Ok(running)
    }

    /// Whether something waits under that name.
    pub fn knows(&self, state: &str) -> bool {
        self.waiting().contains_key(state)
    }

    /// Whether a request of the caller's key waits for its client.
    pub fn asks(&self, caller: &Caller) -> bool {
        self.waiting().values().any(|waiting| waiting.owner.principal == caller.principal())
    }

    /// The tool that the request called which waits under that name.
    pub fn tool_of(&self, owner: &Owner, state: &str) -> Option<Arc<CatalogTool>> {
        let waiting = self.waiting();
        waiting.get(state).filter(|waiting| waiting.owner == *owner)?.running.called.tool.get().cloned()
    }

    /// Asks the client, and keeps the request until it comes back.
    pub fn park(self: &Arc<Self>, owner: Owner, running: Running, closing: &CancellationToken) -> Finished {
        let requests = running.asked();
        let Ok(id) = new_id() else {
            return Finished::Fault(Fault::internal("the kernel gives no random numbers"));
        };
        let state = format!("{STATE}{id}");
        let mut waiting = self.waiting();
        let own = waiting.values().filter(|waiting| waiting.owner.principal == owner.principal).count();
        let each = if owner.principal.is_keyless() { MOST } else { MOST_OF_KEY };
        if (Bounds { all: MOST, each }).check(own, waiting.len()).is_err() {
            let why = "too many requests wait for input of their clients; try again later";
            running.give_up(Outcome::TooManyWaiting, why);
            return Finished::Fault(Fault::internal(why));
        }
        let (this, name, closing) = (Arc::downgrade(self), state.clone(), closing.clone());
        let clock = tokio::spawn(async move {
            let late = closing.run_until_cancelled(sleep(ANSWERED_WITHIN)).await;
            // Dropping it cancels it at its server.
            let given_up = this.upgrade().and_then(|this| this.waiting().remove(&name));
            if let (Some(waiting), Some(())) = (given_up, late) {
                let why = "the caller did not come back with the input that it was asked for";
                waiting.running.give_up(Outcome::InputUnavailable, why);
            }
        });
        waiting.insert(state.clone(), Waiting { owner, running, _clock: AbortOnDropHandle::new(clock) });
        drop(waiting);
        Finished::Result(answer::text(&json!({
            "resultType": "input_required",
            "inputRequests": requests,
            "requestState": state,
        })))
    }

    /// Ends the requests of the key `name` that wait.
    pub fn end_of(&self, name: &str) {
        let ended: Vec<Waiting> = {
            let mut waiting = self.waiting();
            waiting
                .extract_if(|_, waiting| waiting.owner.principal.key_name() == Some(name))
                .map(|(_, ended)| ended)
                .collect()
        };
        // Dropping them cancels them at their servers, which is not for the time of the lock.
        drop(ended);
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<String, Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn places(&self) -> MutexGuard<'_, HashMap<[u8; 32], BTreeSet<u32>>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut places = self.parked.places();
        if let Some(taken) = places.get_mut(&self.alike) {
            taken.remove(&self.number);
            if taken.is_empty() {
                places.remove(&self.alike);
            }
        }
    }
}

impl std::fmt::Debug for Waiting {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Waiting").field("owner", &self.owner).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
