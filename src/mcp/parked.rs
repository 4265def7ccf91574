//! A client of the stateless era behind a server with sessions: what the server asks while it works on a request is
//! answered by a result that wants input, and the request waits, with its connection, for the client to come back
//! (specification 2026-07-28, "Multi Round-Trip Requests").
//!
//! The `requestState` that the client brings back is a random number that stands for the waiting request: it means
//! nothing elsewhere, opens it once, to the same key in the same profile at the same endpoint with the same request, and
//! for a few minutes.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::answer::{self, Fault};
use super::members::Members;
use super::session::new_id;
use super::streamed::{Finished, Work};
use crate::catalog::{Caller, CatalogTool};
use crate::upstream::progress::WAITING;
use crate::upstream::{ClientSide, Hearing, Progress, Question};

/// How long a request waits for its client.
const WAIT: Duration = Duration::from_secs(300);
/// Requests that may wait at one time: of all clients, and of one key.
const MOST: usize = 256;
const MOST_OF_KEY: usize = 64;
/// What a server asks at once comes to the client in one round; its questions may be this far apart.
const GATHER: Duration = Duration::from_millis(20);
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
    key_name: Option<Arc<str>>,
    /// The one that the request asked for.
    profile: Option<Arc<str>>,
    /// Digest of the endpoint and the request.
    request: [u8; 32],
}

/// A request that is under way and may be asked something.
pub struct Running {
    work: Work,
    questions: mpsc::Receiver<Question>,
    messages: mpsc::Receiver<Bytes>,
    progress: Arc<Progress>,
    /// The tool that it calls.
    called: Called,
    /// What the client was asked and has not answered.
    asked: Vec<(String, Question)>,
    numbers: u32,
}

/// Hears the connection of one such request.
struct Ear {
    questions: mpsc::Sender<Question>,
    messages: mpsc::Sender<Bytes>,
}

/// Where a call notes the tool that it has found: the headers of each later round are held to it, too.
pub type Called = Arc<OnceLock<Arc<CatalogTool>>>;

/// The far ends that a new request is made with.
pub struct Ends {
    pub hearing: Arc<dyn Hearing>,
    pub progress: Arc<Progress>,
    pub called: Called,
    questions: mpsc::Receiver<Question>,
    messages: mpsc::Receiver<Bytes>,
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
        let (key_name, profile) = (caller.key_name.clone(), caller.profile.clone());
        Self { key_name, profile, request: digest.finalize().into() }
    }
}

impl Ends {
    /// `asks_progress` of the server, and `passes_log` on.
    pub fn new(asks_progress: bool, passes_log: bool) -> Self {
        let (ask, questions) = mpsc::channel(WAITING);
        let (send, messages) = mpsc::channel(WAITING);
        let progress = Arc::new(Progress::passed_on(send.clone(), asks_progress, passes_log));
        let hearing = Arc::new(Ear { questions: ask, messages: send });
        Self { hearing, progress, called: Called::default(), questions, messages }
    }

    /// The request whose work was made with these ends.
    pub fn running(self, work: Work) -> Running {
        let Self { hearing: _, progress, called, questions, messages } = self;
        Running { work, questions, messages, progress, called, asked: Vec::new(), numbers: 0 }
    }
}

impl Hearing for Ear {
    fn notification(&self, method: &str, message: &Bytes) {
        if matches!(method, "notifications/message" | "notifications/elicitation/complete") {
            // A client that reads too slowly misses it.
            let _missed = self.messages.try_send(message.clone());
        }
    }

    fn request(&self, question: Question) -> bool {
        self.questions.try_send(question).is_ok()
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
        to: mpsc::Sender<Bytes>,
        closing: &CancellationToken,
    ) -> Finished {
        loop {
            tokio::select! {
                biased;
                Some(message) = running.messages.recv() => {
                    let _missed = to.try_send(message);
                }
                finished = &mut running.work => return finished,
                Some(question) = running.questions.recv() => {
                    running.ask(question);
                    while let Ok(Some(question)) = timeout(GATHER, running.questions.recv()).await {
                        running.ask(question);
                    }
                    return self.park(owner, running, closing);
                }
            }
        }
    }

    /// The request that `state` stands for, with the client's answers.
    ///
    /// # Errors
    ///
    /// When nothing of this owner's waits under that name.
    pub async fn resume(&self, owner: &Owner, state: &str, answers: &Members<'_>) -> Result<Running, Fault> {
        let found = {
            let mut waiting = self.waiting();
            let is_theirs = waiting.get(state).is_some_and(|waiting| waiting.owner == *owner);
            if is_theirs { waiting.remove(state) } else { None }
        };
        let Some(Waiting { mut running, .. }) = found else {
            return Err(Fault::invalid_params(
                "`requestState` stands for no request of this kind that waits; send the request without it",
            )
            .bad());
        };
        let mut open = Vec::new();
        for (key, question) in running.asked.drain(..) {
            match answers.get(&key).map(|answer| answer.get()).filter(|answer| answer.starts_with('{')) {
                Some(answer) => question.answer(&format!("\"result\":{answer}")).await,
                None => open.push((key, question)),
            }
        }
        running.asked = open;
        running.progress.touch();
        Ok(running)
    }

    /// Whether something waits under that name.
    pub fn knows(&self, state: &str) -> bool {
        self.waiting().contains_key(state)
    }

    /// Whether a request of the caller's key waits for its client.
    pub fn asks(&self, caller: &Caller) -> bool {
        self.waiting().values().any(|waiting| waiting.owner.key_name == caller.key_name)
    }

    /// The tool that the request called which waits under that name.
    pub fn tool_of(&self, owner: &Owner, state: &str) -> Option<Arc<CatalogTool>> {
        let waiting = self.waiting();
        waiting.get(state).filter(|waiting| waiting.owner == *owner)?.running.called.get().cloned()
    }

    /// Asks the client, and keeps the request until it comes back.
    pub fn park(self: &Arc<Self>, owner: Owner, running: Running, closing: &CancellationToken) -> Finished {
        let requests: Map<String, Value> =
            running.asked.iter().map(|(key, question)| (key.clone(), shown(question))).collect();
        let Ok(id) = new_id() else {
            return Finished::Fault(Fault::internal("the kernel gives no random numbers"));
        };
        let state = format!("{STATE}{id}");
        let mut waiting = self.waiting();
        let of_key = waiting.values().filter(|waiting| waiting.owner.key_name == owner.key_name).count();
        if waiting.len() >= MOST || of_key >= MOST_OF_KEY {
            return Finished::Fault(Fault::internal(
                "too many requests wait for input of their clients; try again later",
            ));
        }
        let (this, name, closing) = (Arc::downgrade(self), state.clone(), closing.clone());
        let clock = tokio::spawn(async move {
            closing.run_until_cancelled(tokio::time::sleep(WAIT)).await;
            // Dropping it cancels it at its server.
            let _late = this.upgrade().and_then(|this| this.waiting().remove(&name));
        });
        waiting.insert(state.clone(), Waiting { owner, running, _clock: AbortOnDropHandle::new(clock) });
        drop(waiting);
        Finished::Result(answer::text(&json!({
            "resultType": "input_required",
            "inputRequests": requests,
            "requestState": state,
        })))
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<String, Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn places(&self) -> MutexGuard<'_, HashMap<[u8; 32], BTreeSet<u32>>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Running {
    /// Whether the client has left questions open.
    pub fn is_waiting(&self) -> bool {
        !self.asked.is_empty()
    }

    fn ask(&mut self, question: Question) {
        self.numbers += 1;
        self.asked.push((format!("input-{}", self.numbers), question));
    }
}

fn shown(question: &Question) -> Value {
    let params: Value = serde_json::from_slice(&question.params).unwrap_or_else(|_| json!({}));
    json!({ "method": &*question.method, "params": params })
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
