//! Open questions to one client: those of servers, and those for results that require input.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use tokio::sync::oneshot;
use tokio_util::task::AbortOnDropHandle;

use crate::mcp::message::ClientAnswer;
use crate::sync::lock;
use crate::upstream::{Connection, Question};

/// Open questions over one connection; further ones are refused.
pub const UNANSWERED: usize = 64;

/// Open questions, by the ids of their requests to the client.
#[derive(Debug, Default)]
pub struct Questions(Mutex<HashMap<u64, Awaited>>);

/// The receiver of the client's answer.
#[derive(Debug)]
pub enum Awaited {
    /// A server's question; the clock refuses it when the client takes too long.
    Server {
        question: Question,
        _clock: AbortOnDropHandle<()>,
    },
    Round(oneshot::Sender<ClientAnswer>),
}

impl Questions {
    /// Notes the question that `ask` sends under this number, before its answer can come.
    ///
    /// # Errors
    ///
    /// The receiver of the answer, when the question could not be sent.
    pub fn note(&self, number: u64, awaited: Awaited, ask: impl FnOnce() -> bool) -> Result<(), Awaited> {
        let mut open = lock(&self.0);
        if !ask() {
            return Err(awaited);
        }
        open.insert(number, awaited);
        Ok(())
    }

    pub fn take(&self, number: u64) -> Option<Awaited> {
        lock(&self.0).remove(&number)
    }

    /// Takes the question that was asked over `link` under the server's own `id`.
    pub fn take_of(&self, link: &Arc<dyn Connection>, id: &str) -> Option<(u64, Question)> {
        let is_it = |_: &u64, awaited: &mut Awaited| match awaited {
            Awaited::Server { question, .. } => is_over(question, link) && &*question.id == id,
            Awaited::Round(_) => false,
        };
        match lock(&self.0).extract_if(is_it).next()? {
            (number, Awaited::Server { question, .. }) => Some((number, question)),
            (_, Awaited::Round(_)) => None,
        }
    }

    /// Takes all questions, which answers those of servers with an error.
    pub fn clear(&self) {
        let _answered_without_the_lock = std::mem::take(&mut *lock(&self.0));
    }

    /// The number of open questions that were asked over `link`.
    pub fn over(&self, link: &Arc<dyn Connection>) -> usize {
        let is_over = |awaited: &&Awaited| matches!(awaited, Awaited::Server { question, .. } if is_over(question, link));
        lock(&self.0).values().filter(is_over).count()
    }

    pub fn is_empty(&self) -> bool {
        lock(&self.0).is_empty()
    }
}

fn is_over(question: &Question, link: &Arc<dyn Connection>) -> bool {
    Arc::ptr_eq(&question.connection, link)
}
