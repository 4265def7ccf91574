//! A request of the stateless era that is under way, and its ends towards the server: what the server asks is gathered
//! there for the client's next round.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use serde_json::{Map, Value, json};
use tokio::sync::mpsc::{self, error::TrySendError};

use super::super::streamed::Work;
use crate::catalog::CatalogTool;
use crate::gateway::{GivenUp, Outcome};
use crate::json::Members;
use crate::protocol::notification;
use crate::upstream::message_queue::{Receiver, Sender};
use crate::upstream::progress::queue;
use crate::upstream::{MessageHandler, Progress, Question};

/// Questions of one round, and those that may wait for the next one; further ones are refused.
const QUESTIONS: usize = 64;
/// Bytes of all of them together: as many as one message of a server may have.
const QUESTIONS_BYTES: usize = 1 << 20;

/// A request that is under way and may be asked something.
pub struct Running {
    pub(super) work: Work,
    pub(super) questions: mpsc::Receiver<Question>,
    pub(super) messages: Receiver,
    /// The tool that it calls.
    pub(super) called: Called,
    /// What the client was asked and has not answered.
    asked: Vec<(String, Question)>,
    /// Bytes of the questions without an answer.
    bytes: Arc<AtomicUsize>,
    numbers: u32,
}

/// The far ends that a new request is made with.
pub struct Ends {
    pub hearing: Arc<dyn MessageHandler>,
    pub progress: Arc<Progress>,
    pub called: Called,
    questions: mpsc::Receiver<Question>,
    messages: Receiver,
    bytes: Arc<AtomicUsize>,
}

/// Where a call notes the tool that it has found: the headers of each later round are held to it, too.
pub type Called = Arc<CalledTool>;

/// What a call and those who keep it while it waits tell each other.
#[derive(Debug, Default)]
pub struct CalledTool {
    pub tool: OnceLock<Arc<CatalogTool>>,
    /// Why it was given up.
    pub given_up: GivenUp,
}

/// Hears the connection of one such request.
struct Ear {
    questions: mpsc::Sender<Question>,
    messages: Sender,
    bytes: Arc<AtomicUsize>,
}

impl Ends {
    /// `asks_progress` of the server, and `passes_log` on.
    pub fn new(asks_progress: bool, passes_log: bool) -> Self {
        let (ask, questions) = mpsc::channel(QUESTIONS);
        let (send, messages) = queue();
        let progress = Arc::new(Progress::passed_on(send.clone(), asks_progress, passes_log));
        let bytes = Arc::<AtomicUsize>::default();
        let hearing = Arc::new(Ear { questions: ask, messages: send, bytes: bytes.clone() });
        Self { hearing, progress, called: Called::default(), questions, messages, bytes }
    }

    /// The request whose work was made with these ends.
    pub fn running(self, work: Work) -> Running {
        let Self { hearing: _, progress: _, called, questions, messages, bytes } = self;
        Running { work, questions, messages, called, asked: Vec::new(), bytes, numbers: 0 }
    }
}

impl Running {
    /// Says why it is dropped before its end.
    pub fn give_up(&self, outcome: Outcome, why: &'static str) {
        let _known_already = self.called.given_up.set((outcome, why));
    }

    /// Whether the client has left questions open.
    pub fn is_waiting(&self) -> bool {
        !self.asked.is_empty()
    }

    /// Whether the client is asked as much as one round may ask.
    pub fn is_full(&self) -> bool {
        self.asked.len() >= QUESTIONS
    }

    /// The client is to be asked this.
    pub fn ask(&mut self, question: Question) {
        self.numbers += 1;
        self.asked.push((format!("input-{}", self.numbers), question));
    }

    /// What the client is asked, by the keys of its answers.
    pub fn asked(&self) -> Map<String, Value> {
        self.asked.iter().map(|(key, question)| (key.clone(), shown(question))).collect()
    }

    /// Passes the client's answers on; what they leave out stays open.
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

impl MessageHandler for Ear {
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
