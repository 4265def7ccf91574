//! The client of one session: its capabilities, and the routes to it.
//!
//! A server's message for the client leaves on the stream of the client's newest request in progress, else on the stream
//! that the client opened with GET. Both belong to the session, so no message reaches another client.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, Weak};

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use serde_json::Value;
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::questions::{Awaited, Questions, UNANSWERED};
use crate::gateway::Client;
use crate::mcp::extensions::{self, EXTENSIONS};
use crate::mcp::message::ClientAnswer;
use crate::mcp::response::fault::Fault;
use crate::mcp::session::sealed::{ShortDigest, shortened};
use crate::protocol::{json_rpc, notification};
use crate::shares::Principal;
use crate::sync::lock;
use crate::upstream::message_queue::{Receiver, Sender};
use crate::upstream::progress::queue;
use crate::upstream::{ANSWERED_WITHIN, CallerSession, ClientSide, Connection, MessageHandler, Question};

/// The capabilities of clients that servers can use.
const ASKABLE: [&str; 3] = ["elicitation", "roots", "sampling"];

/// The client that opened a session.
#[derive(Debug)]
pub struct SessionClient {
    key: [u8; 32],
    principal: Principal,
    ended: CancellationToken,
    capabilities: Arc<str>,
    log_level: ArcSwapOption<Arc<str>>,
    routes: Mutex<Routes>,
    questions: Questions,
    /// The servers that it was asked to sign in to, with the ids of those questions.
    sign_ins: Mutex<HashMap<Box<str>, String>>,
    numbers: AtomicU64,
    /// For the clocks of its questions.
    this: Weak<Self>,
}

#[derive(Debug, Default)]
struct Routes {
    requests: Vec<(u64, Sender)>,
    stream: Option<(u64, Sender)>,
}

/// Why the client gave no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoAnswer {
    /// No route to the client is open.
    Unreachable,
    /// The client took longer than [`ANSWERED_WITHIN`].
    Late,
}

/// A question for a result, which is withdrawn when the value is dropped before the answer.
struct Round<'a> {
    client: &'a SessionClient,
    number: u64,
}

/// One route to the client, open until the value is dropped.
#[derive(Debug)]
pub struct ClientRoute {
    client: Arc<SessionClient>,
    number: u64,
}

impl SessionClient {
    /// The client that opened the session `id`. `capabilities` are [`askable`]; `ended` is cancelled with the session.
    pub fn new(
        id: &[u8],
        principal: Principal,
        capabilities: Arc<str>,
        ended: CancellationToken,
    ) -> Arc<Self> {
        Arc::new_cyclic(|this| Self {
            key: Sha256::digest(id).into(),
            principal,
            ended,
            capabilities,
            log_level: ArcSwapOption::empty(),
            routes: Mutex::default(),
            questions: Questions::default(),
            sign_ins: Mutex::default(),
            numbers: AtomicU64::new(1),
            this: this.clone(),
        })
    }

    /// Notes that it was asked by the question `id` to sign in to `server`.
    pub fn asked_to_sign_in(&self, server: &str, id: &str) {
        lock(&self.sign_ins).insert(server.into(), id.to_owned());
    }

    /// The id of the question that asked it to sign in to `server`, which is done.
    pub fn signed_in(&self, server: &str) -> Option<String> {
        lock(&self.sign_ins).remove(server)
    }

    /// The session as the caller of a server that keeps sessions apart.
    pub fn as_caller(&self) -> CallerSession {
        CallerSession { key: self.key, ended: self.ended.clone() }
    }

    /// The client as servers see it; `None` when it needs no connection of its own.
    pub fn side(&self) -> Option<ClientSide> {
        let log_level = self.log_level();
        let is_special = &*self.capabilities != "{}" || log_level.is_some();
        is_special.then(|| ClientSide {
            key: self.key,
            alike: self.key,
            principal: self.principal.clone(),
            capabilities: self.capabilities.clone(),
            log_level,
            ended: Some(self.ended.clone()),
        })
    }

    /// The client with its message handler; `None` when it needs no connection of its own.
    pub fn askable(self: &Arc<Self>) -> Option<Client> {
        self.side().map(|side| Client { side, handler: self.clone() })
    }

    /// A number that other sessions hardly have. In another process this one has another; it does not disclose the id.
    pub fn number_of_its_own(&self) -> u64 {
        static OF_THIS_PROCESS: LazyLock<RandomState> = LazyLock::new(RandomState::new);
        OF_THIS_PROCESS.hash_one(self.key) >> 16
    }

    /// A digest of the session's id, which names the session in files.
    pub fn digest(&self) -> ShortDigest {
        shortened(self.key)
    }

    /// Numbers questions from `number` on.
    pub fn number_from(&self, number: u64) {
        self.numbers.store(number, Ordering::Relaxed);
    }

    /// Sets the least level of log messages that the client wants.
    pub fn set_log_level(&self, level: Arc<str>) {
        self.log_level.store(Some(Arc::new(level)));
    }

    /// The least level of log messages that the client wants, once it has said one.
    pub fn log_level(&self) -> Option<Arc<str>> {
        self.log_level.load().as_deref().cloned()
    }

    /// Opens the route of a request in progress; messages for the client go to `to` meanwhile.
    pub fn request(self: &Arc<Self>, to: Sender) -> ClientRoute {
        let number = self.number();
        lock(&self.routes).requests.push((number, to));
        ClientRoute { client: self.clone(), number }
    }

    /// Opens the stream that belongs to no request, in place of an earlier one.
    pub fn stream(self: &Arc<Self>) -> (ClientRoute, Receiver) {
        let (to, messages) = queue();
        let number = self.number();
        lock(&self.routes).stream = Some((number, to));
        (ClientRoute { client: self.clone(), number }, messages)
    }

    /// Asks the client and waits for its answer, for [`ANSWERED_WITHIN`] at most.
    ///
    /// # Errors
    ///
    /// [`NoAnswer`].
    pub async fn ask(&self, method: &str, params: &str) -> Result<ClientAnswer, NoAnswer> {
        let (answer, answered) = oneshot::channel();
        let number = self.number();
        let put = self.put(number, method, params, Awaited::Round(answer));
        put.map_err(|_unasked| NoAnswer::Unreachable)?;
        let _round = Round { client: self, number };
        match timeout(ANSWERED_WITHIN, answered).await {
            Ok(answer) => answer.map_err(|_withdrawn| NoAnswer::Unreachable),
            Err(_) => Err(NoAnswer::Late),
        }
    }

    /// Takes the client's answer to the question `id` (JSON text). Answers with an unknown id are ignored.
    pub fn answered(&self, id: &str, answer: Result<&str, &str>) {
        match id.parse().ok().and_then(|number| self.questions.take(number)) {
            Some(Awaited::Server { question, .. }) => question.answer(&match answer {
                Ok(result) => format!("\"result\":{result}"),
                Err(error) => format!("\"error\":{error}"),
            }),
            Some(Awaited::Round(waiting)) => {
                let _caller_left = waiting.send(answer.map(Box::from).map_err(Box::from));
            }
            None => {}
        }
    }

    /// Whether a question waits for the client's answer.
    pub fn is_asked(&self) -> bool {
        !self.questions.is_empty()
    }

    /// Refuses all open questions: the client is gone.
    pub fn leave(&self) {
        self.questions.clear();
    }

    /// Sends a message on the first route that takes it; false when none does.
    fn send(&self, message: Bytes) -> bool {
        let routes = lock(&self.routes);
        let newest = routes.requests.iter().rev().map(|(_, to)| to);
        let mut routes = newest.chain(routes.stream.as_ref().map(|(_, to)| to));
        routes.any(|to| to.offer(message.clone()))
    }

    /// Asks the client under this number.
    ///
    /// # Errors
    ///
    /// The receiver of the answer, when no route to the client is open.
    fn put(&self, number: u64, method: &str, params: &str, awaited: Awaited) -> Result<(), Awaited> {
        let text = json_rpc::request(number, method, params);
        self.questions.note(number, awaited, || self.send(text.into()))
    }

    /// Refuses the question once its time is over.
    fn clock(&self, number: u64) -> AbortOnDropHandle<()> {
        let this = self.this.clone();
        AbortOnDropHandle::new(tokio::spawn(async move {
            sleep(ANSWERED_WITHIN).await;
            let Some(client) = this.upgrade() else { return };
            if let Some(Awaited::Server { question, .. }) = client.questions.take(number) {
                client.tell_withdrawn(number);
                question.refuse(&format!("the client did not answer within {} s", ANSWERED_WITHIN.as_secs()));
            }
        }))
    }

    /// Notifies the client that the question needs no answer any more.
    fn tell_withdrawn(&self, number: u64) {
        let params = format_args!(r#"{{"requestId":{number}}}"#);
        let text = json_rpc::notification_with(notification::CANCELLED, params);
        self.send(text.into());
    }

    fn number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }
}

impl MessageHandler for SessionClient {
    fn notification(&self, method: &str, message: &Bytes) {
        match method {
            notification::MESSAGE | notification::ELICITATION_COMPLETE | notification::TOOLS_LIST_CHANGED => {
                // A client that reads too slowly, or not at all, misses it.
                let _missed = self.send(message.clone());
            }
            _ => {}
        }
    }

    fn request(&self, mut question: Question) -> Result<(), Question> {
        if self.questions.over(&question.connection) >= UNANSWERED {
            question.refuse(&format!("the client has {UNANSWERED} questions to answer already"));
            return Ok(());
        }
        let (method, params) = (question.method.clone(), std::mem::take(&mut question.params));
        let Ok(params) = std::str::from_utf8(&params) else { return Err(question) };
        let number = self.number();
        let awaited = Awaited::Server { question, _clock: self.clock(number) };
        match self.put(number, &method, params, awaited) {
            Err(Awaited::Server { question, .. }) => Err(question),
            Ok(()) | Err(Awaited::Round(_)) => Ok(()),
        }
    }

    fn withdrawn(&self, link: &Arc<dyn Connection>, id: &str) {
        if let Some((number, question)) = self.questions.take_of(link, id) {
            question.pass_over();
            self.tell_withdrawn(number);
        }
    }
}

impl Drop for Round<'_> {
    fn drop(&mut self) {
        if self.client.questions.take(self.number).is_some() {
            self.client.tell_withdrawn(self.number);
        }
    }
}

impl Drop for ClientRoute {
    fn drop(&mut self) {
        let mut routes = lock(&self.client.routes);
        routes.requests.retain(|(number, ..)| *number != self.number);
        if routes.stream.as_ref().is_some_and(|(number, _)| *number == self.number) {
            routes.stream = None;
        }
    }
}

/// The longest declaration of a client's capabilities, in bytes: it is kept as long as the session.
pub const LARGEST_CAPABILITIES: usize = 16 << 10;

/// The refusal of a longer declaration.
pub fn too_large_capabilities() -> Fault {
    Fault::invalid_params(format!("`capabilities` may have {LARGEST_CAPABILITIES} bytes"))
}

/// The part of a client's capabilities that servers see: those that they can use, and extensions.
pub fn askable(capabilities: Option<&RawValue>) -> Arc<str> {
    static NOTHING: LazyLock<Arc<str>> = LazyLock::new(|| Arc::from("{}"));
    // Most clients of the stateless era send `{}` with each request.
    if capabilities.is_none_or(|capabilities| capabilities.get() == "{}") {
        return NOTHING.clone();
    }
    let declared = capabilities.and_then(|capabilities| {
        serde_json::from_str::<serde_json::Map<String, Value>>(capabilities.get()).ok()
    });
    let mut declared = declared.unwrap_or_default();
    let extensions = extensions::carried(declared.get(EXTENSIONS));
    declared.retain(|name, value| ASKABLE.contains(&name.as_str()) && value.is_object());
    if let Some(extensions) = extensions {
        declared.insert(EXTENSIONS.to_owned(), Value::Object(extensions));
    }
    Value::Object(declared).to_string().into()
}

#[cfg(test)]
mod tests;
