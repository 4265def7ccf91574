//! A request of the stateless era in progress: the server's questions are gathered for the client's next round.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use serde_json::{Map, Value, json};
use tokio::sync::mpsc::{self, error::TrySendError};

use crate::catalog::{CatalogTool, SignInEnd};
use crate::gateway::{GivenUp, Outcome};
use crate::json::Members;
use crate::mcp::response::finished::Work;
use crate::protocol::notification;
use crate::upstream::message_queue::{Receiver, Sender};
use crate::upstream::progress::queue;
use crate::upstream::{MessageHandler, Progress, Question};

/// Questions of one round, and questions that may wait for the next round; further ones are refused.
const QUESTIONS: usize = 64;
/// Bytes of all questions of a request together: as many as one message of a server may have.
const QUESTIONS_BYTES: usize = 1 << 20;

/// A request in progress, during which the server may ask its client for input.
pub struct ActiveRequest {
    pub work: Work,
    pub questions: mpsc::Receiver<Question>,
    pub messages: Receiver,
    /// The tool that the request calls.
    pub called: Arc<CalledTool>,
    /// Of its caller.
    pub sign_in_end: SignInEnd,
    /// Questions that the client was asked and has not answered, by the keys of their answers.
    asked: Vec<(String, Question)>,
    /// Bytes of the questions without an answer.
    bytes: Arc<AtomicUsize>,
    numbers: u32,
}

/// The channel from the connection of a new request to its client.
pub struct InputChannel {
    pub handler: Arc<dyn MessageHandler>,
    pub progress: Arc<Progress>,
    pub called: Arc<CalledTool>,
    questions: mpsc::Receiver<Question>,
    messages: Receiver,
    bytes: Arc<AtomicUsize>,
}

/// The tool and the end of a call, shared with its entry among the suspended requests.
#[derive(Debug, Default)]
pub struct CalledTool {
    pub tool: OnceLock<Arc<CatalogTool>>,
    /// Why the call was given up.
    pub given_up: GivenUp,
}

/// Collects the messages of the server over the connection of one such request.
struct InputCollector {
    questions: mpsc::Sender<Question>,
    messages: Sender,
    bytes: Arc<AtomicUsize>,
}

impl InputChannel {
    /// A channel for a request that `asks_progress` of the server, and `passes_log` messages on.
    pub fn new(asks_progress: bool, passes_log: bool) -> Self {
        let (ask, questions) = mpsc::channel(QUESTIONS);
        let (send, messages) = queue();
        let progress = Arc::new(Progress::passed_on(send.clone(), asks_progress, passes_log));
        let bytes = Arc::<AtomicUsize>::default();
        let handler = Arc::new(InputCollector { questions: ask, messages: send, bytes: bytes.clone() });
        Self { handler, progress, called: Arc::default(), questions, messages, bytes }
    }

    /// The request whose work uses this channel; it waits for its client until `sign_in_end` at most.
    pub fn active(self, work: Work, sign_in_end: SignInEnd) -> ActiveRequest {
        let Self { handler: _, progress: _, called, questions, messages, bytes } = self;
        ActiveRequest { work, questions, messages, called, sign_in_end, asked: Vec::new(), bytes, numbers: 0 }
    }
}

impl ActiveRequest {
    /// Notes why the request is dropped before its end.
    pub fn give_up(&self, outcome: Outcome, why: &'static str) {
        let _known_already = self.called.given_up.set((outcome, why));
    }

    /// Whether the client has left questions open.
    pub fn is_waiting(&self) -> bool {
        !self.asked.is_empty()
    }

    /// Whether the round has as many questions as it may have.
    pub fn is_full(&self) -> bool {
        self.asked.len() >= QUESTIONS
    }

    /// Adds a question to the round.
    pub fn ask(&mut self, question: Question) {
        self.numbers += 1;
        self.asked.push((format!("input-{}", self.numbers), question));
    }

    /// The `inputRequests` of the round, by the keys of their answers.
    pub fn asked(&self) -> Map<String, Value> {
        self.asked.iter().map(|(key, question)| (key.clone(), shown(question))).collect()
    }

    /// Passes the client's answers on; questions without an answer stay open.
    pub fn answer(&mut self, answers: &Members<'_>) {
        for (key, question) in std::mem::take(&mut self.asked) {
            match answers.get(&key).map(|answer| answer.get()).filter(|answer| answer.starts_with('{')) {
                Some(answer) => {
                    self.bytes.fetch_sub(question.params.len(), Ordering::Relaxed);
                    question.answer(&format!("\"result\":{answer}"));
                }
                None => self.asked.push((key, question)),
            }
        }
    }
}

impl MessageHandler for InputCollector {
    fn notification(&self, method: &str, message: &Bytes) {
        if matches!(method, notification::MESSAGE | notification::ELICITATION_COMPLETE) {
            // A client that reads too slowly misses it.
            let _missed = self.messages.offer(message.clone());
        }
    }

    fn request(&self, question: Question) -> Result<(), Question> {
        let length = question.params.len();
        if self.bytes.fetch_add(length, Ordering::Relaxed) + length > QUESTIONS_BYTES {
            self.bytes.fetch_sub(length, Ordering::Relaxed);
            question.refuse(&format!("the questions to the client have {QUESTIONS_BYTES} bytes already"));
            return Ok(());
        }
        let refused = self.questions.try_send(question).err();
        if refused.is_some() {
            self.bytes.fetch_sub(length, Ordering::Relaxed);
        }
        match refused {
            None => Ok(()),
            Some(TrySendError::Full(question)) => {
                question.refuse(&format!("the client has {QUESTIONS} questions to answer already"));
                Ok(())
            }
            Some(TrySendError::Closed(question)) => Err(question),
        }
    }
}

fn shown(question: &Question) -> Value {
    let params: Value = serde_json::from_slice(&question.params).unwrap_or_else(|_| json!({}));
    json!({ "method": &*question.method, "params": params })
}
