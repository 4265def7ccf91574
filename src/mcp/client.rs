//! The client of one session: what it can be asked, and the ways to it.
//!
//! Whatever a server sends for the client leaves on the stream of the newest of its requests that is under way, else on
//! the stream that it opened with GET. All its requests are its own, so none of this can reach another client.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};
use tokio::sync::{mpsc, oneshot};

use super::answer::Fault;
use crate::upstream::progress::WAITING;
use crate::upstream::{ClientSide, Hearing, Progress, Question};

/// Questions that a client may leave unanswered; the oldest gives way.
const UNANSWERED: usize = 64;
/// What a client may declare that servers can ask it for.
const ASKABLE: [&str; 3] = ["elicitation", "roots", "sampling"];

/// A server that has tools for this client alone changes those alone, too.
const TOOLS_CHANGED: &str = "notifications/tools/list_changed";

/// See the module.
#[derive(Debug)]
pub struct Client {
    key: [u8; 32],
    capabilities: Arc<str>,
    log_level: ArcSwapOption<Arc<str>>,
    ways: Mutex<Ways>,
    questions: Mutex<BTreeMap<u64, Awaited>>,
    numbers: AtomicU64,
}

#[derive(Debug, Default)]
struct Ways {
    requests: Vec<(u64, mpsc::Sender<Bytes>, Arc<Progress>)>,
    stream: Option<(u64, mpsc::Sender<Bytes>)>,
}

/// Who waits for an answer of the client's.
#[derive(Debug)]
enum Awaited {
    Server(Question),
    Round(oneshot::Sender<Answer>),
}

/// An answer of the client's, as JSON text.
#[derive(Debug)]
pub enum Answer {
    Result(Box<str>),
    Error(Box<str>),
}

/// One way to the client, open until this is dropped.
#[derive(Debug)]
pub struct Way {
    client: Arc<Client>,
    number: u64,
}

impl Client {
    /// The client that opened the session `id` with these `capabilities`.
    pub fn new(id: &str, capabilities: Option<&RawValue>) -> Self {
        Self {
            key: Sha256::digest(id.as_bytes()).into(),
            capabilities: askable(capabilities),
            log_level: ArcSwapOption::empty(),
            ways: Mutex::default(),
            questions: Mutex::default(),
            numbers: AtomicU64::new(1),
        }
    }

    /// As servers are to know it, if it needs to be told from others.
    pub fn side(&self) -> Option<ClientSide> {
        let log_level = self.log_level.load().as_deref().cloned();
        let is_special = &*self.capabilities != "{}" || log_level.is_some();
        is_special.then(|| ClientSide { key: self.key, capabilities: self.capabilities.clone(), log_level })
    }

    /// A number that other sessions are not likely to have, and that tells nothing of the session's id.
    pub fn number_of_its_own(&self) -> u64 {
        self.key.iter().take(6).fold(0, |number, byte| (number << 8) | u64::from(*byte))
    }

    /// The least level of log messages that it wants, once it has said so.
    pub fn log_level(&self) -> Option<Arc<str>> {
        self.log_level.load().as_deref().cloned()
    }

    pub fn set_log_level(&self, level: Arc<str>) {
        self.log_level.store(Some(Arc::new(level)));
    }

    /// Opens the way of a request that is under way; what the client is sent meanwhile goes to `to`. `progress` learns
    /// when it is asked something and when it answers.
    pub fn request(self: &Arc<Self>, to: mpsc::Sender<Bytes>, progress: Arc<Progress>) -> Way {
        let number = self.number();
        self.ways().requests.push((number, to, progress));
        Way { client: self.clone(), number }
    }

    /// Opens the stream that belongs to no request, in place of an earlier one.
    pub fn stream(self: &Arc<Self>) -> (Way, mpsc::Receiver<Bytes>) {
        let (to, messages) = mpsc::channel(WAITING);
        let number = self.number();
        self.ways().stream = Some((number, to));
        (Way { client: self.clone(), number }, messages)
    }

    /// Asks the client and waits for its answer; `None` when no way to it is open, or it leaves.
    pub async fn ask(&self, method: &str, params: &str) -> Option<Answer> {
        let (answer, answered) = oneshot::channel();
        if !self.put(method, params, Awaited::Round(answer)) {
            return None;
        }
        answered.await.ok()
    }

    /// Takes the client's answer to the question `id` (JSON text). An answer to no question is nothing to anybody.
    pub async fn answered(&self, id: &str, answer: Answer) {
        let awaited = id.parse().ok().and_then(|number: u64| self.questions().remove(&number));
        for (_, _, progress) in &self.ways().requests {
            progress.touch();
        }
        match awaited {
            Some(Awaited::Server(question)) => question.answer(&answer.member()).await,
            Some(Awaited::Round(waiting)) => {
                let _caller_left = waiting.send(answer);
            }
            None => {}
        }
    }

    /// Whether it has yet to answer something.
    pub fn is_asked(&self) -> bool {
        !self.questions().is_empty()
    }

    /// Whether a message could be sent.
    fn send(&self, message: Bytes) -> bool {
        let ways = self.ways();
        let newest = ways.requests.iter().rev().map(|(_, to, _)| to);
        let mut ways = newest.chain(ways.stream.as_ref().map(|(_, to)| to));
        ways.any(|to| to.try_send(message.clone()).is_ok())
    }

    fn put(&self, method: &str, params: &str, awaited: Awaited) -> bool {
        let number = self.number();
        let method = Value::from(method);
        let text = format!(r#"{{"jsonrpc":"2.0","id":{number},"method":{method},"params":{params}}}"#);
        {
            let mut questions = self.questions();
            questions.retain(|_, awaited| !matches!(awaited, Awaited::Server(of) if of.link.end().is_set()));
            while questions.len() >= UNANSWERED {
                questions.pop_first();
            }
            questions.insert(number, awaited);
        }
        if !self.send(text.into()) {
            self.questions().remove(&number);
            return false;
        }
        for (_, _, progress) in &self.ways().requests {
            progress.touch();
        }
        true
    }

    /// The server that asked as `id` (JSON text) has given up.
    fn withdrawn(&self, message: &[u8]) {
        #[derive(Deserialize)]
        struct Notification<'a> {
            #[serde(borrow)]
            params: Params<'a>,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Params<'a> {
            #[serde(borrow)]
            request_id: &'a RawValue,
        }
        let Ok(Notification { params }) = serde_json::from_slice::<Notification<'_>>(message) else { return };
        let id = params.request_id.get();
        let number = {
            let mut questions = self.questions();
            let is_it = |awaited: &Awaited| matches!(awaited, Awaited::Server(of) if &*of.id == id);
            let number = questions.iter().find(|(_, awaited)| is_it(awaited)).map(|(number, _)| *number);
            number.inspect(|number| {
                questions.remove(number);
            })
        };
        if let Some(number) = number {
            let text = format!(
                r#"{{"jsonrpc":"2.0","method":"notifications/cancelled","params":{{"requestId":{number}}}}}"#
            );
            self.send(text.into());
        }
    }

    fn number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    fn ways(&self) -> MutexGuard<'_, Ways> {
        self.ways.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn questions(&self) -> MutexGuard<'_, BTreeMap<u64, Awaited>> {
        self.questions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Hearing for Client {
    fn notification(&self, method: &str, message: &Bytes) {
        match method {
            "notifications/message" | "notifications/elicitation/complete" | TOOLS_CHANGED => {
                // A client that reads too slowly, or not at all, misses it.
                let _missed = self.send(message.clone());
            }
            "notifications/cancelled" => self.withdrawn(message),
            _ => {}
        }
    }

    fn request(&self, mut question: Question) -> bool {
        // What waits for an answer is the question's id alone.
        let (method, params) = (question.method.clone(), std::mem::take(&mut question.params));
        std::str::from_utf8(&params).is_ok_and(|params| self.put(&method, params, Awaited::Server(question)))
    }
}

impl Drop for Way {
    fn drop(&mut self) {
        let mut ways = self.client.ways();
        ways.requests.retain(|(number, ..)| *number != self.number);
        if ways.stream.as_ref().is_some_and(|(number, _)| *number == self.number) {
            ways.stream = None;
        }
    }
}

impl Answer {
    fn member(&self) -> String {
        match self {
            Self::Result(result) => format!("\"result\":{result}"),
            Self::Error(error) => format!("\"error\":{error}"),
        }
    }
}

/// The most that a client may declare of what it can be asked, in bytes: it is kept for as long as its session is.
pub const LARGEST_CAPABILITIES: usize = 16 << 10;

/// The refusal of a client that declares more.
pub fn too_large_capabilities() -> Fault {
    Fault::invalid_params(format!("`capabilities` may have {LARGEST_CAPABILITIES} bytes"))
}

/// What servers are told of a client's capabilities: those that they can ask it for.
pub fn askable(capabilities: Option<&RawValue>) -> Arc<str> {
    let declared = capabilities.and_then(|capabilities| {
        serde_json::from_str::<serde_json::Map<String, Value>>(capabilities.get()).ok()
    });
    let mut declared = declared.unwrap_or_default();
    declared.retain(|name, value| ASKABLE.contains(&name.as_str()) && value.is_object());
    Value::Object(declared).to_string().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(capabilities: &str) -> Arc<Client> {
        let capabilities = RawValue::from_string(capabilities.to_owned()).unwrap();
        Arc::new(Client::new("id", Some(&capabilities)))
    }

    #[test]
    fn only_a_client_that_can_be_asked_or_wants_the_log_needs_to_be_told_from_others() {
        assert!(client("{}").side().is_none());
        assert!(client(r#"{"experimental":{"x":{}},"sampling":null}"#).side().is_none());
        let side = client(r#"{"sampling":{"tools":{}},"tasks":{}}"#).side().unwrap();
        assert_eq!(&*side.capabilities, r#"{"sampling":{"tools":{}}}"#);
        let client = client("{}");
        client.set_log_level("debug".into());
        assert_eq!(client.side().unwrap().log_level.as_deref(), Some("debug"));
    }

    #[tokio::test]
    async fn a_question_leaves_on_the_newest_way_and_its_answer_finds_back() {
        let client = client(r#"{"elicitation":{}}"#);
        assert!(client.ask("roots/list", "{}").await.is_none(), "no way is open");
        let (_stream, mut messages) = client.stream();
        let (to, mut newest) = mpsc::channel(4);
        let way = client.request(to, Arc::default());
        let asking = tokio::spawn({
            let client = client.clone();
            async move { client.ask("elicitation/create", r#"{"message":"?"}"#).await }
        });
        let question: Value = serde_json::from_slice(&newest.recv().await.unwrap()).unwrap();
        assert_eq!(question["params"]["message"], "?");
        client.answered(&question["id"].to_string(), Answer::Result("{}".into())).await;
        assert!(matches!(asking.await.unwrap(), Some(Answer::Result(_))));
        drop(way);
        client.notification("notifications/message", &Bytes::from_static(b"{}"));
        assert!(messages.recv().await.is_some() && newest.recv().await.is_none());
    }
}
