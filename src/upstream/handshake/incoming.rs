//! What a server sends by itself: heard, answered or refused as it comes, also before the server has said what it is.

use std::sync::Arc;

use bytes::Bytes;

use super::Greeting;
use crate::protocol::error_code::METHOD_NOT_FOUND;
use crate::protocol::{json_rpc, method};
use crate::upstream::error::EndReason;
use crate::upstream::hearing::{self, Heard, Hearing};
use crate::upstream::link::{Link, Opened};
use crate::upstream::message::Answer;
use crate::upstream::messages::Receiver;

/// The messages of one connection that are no answers to requests of [`Link::request`].
pub struct Incoming {
    link: Arc<dyn Link>,
    hearing: Arc<dyn Hearing>,
    inbox: Receiver,
}

impl Incoming {
    pub fn new(greeting: &Greeting<'_>, opened: Opened) -> Self {
        Self { link: opened.link, hearing: greeting.hearing.clone(), inbox: opened.inbox }
    }

    /// The connection itself.
    pub fn link(&self) -> &Arc<dyn Link> {
        &self.link
    }

    /// The answer to the message `id`. An error without an id answers it, too: its server could not read whose it is.
    /// Whatever comes before is dealt with. Nothing is lost when the future is dropped.
    ///
    /// # Errors
    ///
    /// When the connection ends before.
    pub async fn answer_to(&mut self, id: u32) -> Result<Answer, EndReason> {
        loop {
            let message = self.next_answer().await?;
            match Answer::read(&message) {
                Some((Some(of), answer)) if of == id => return Ok(answer),
                Some((None, refusal @ Answer::Error(_))) => return Ok(refusal),
                _ => {}
            }
        }
    }

    /// Waits for an error that does not say what it answers. Never ends without one.
    pub async fn refusal(&mut self) {
        while let Ok(message) = self.next_answer().await {
            if let Some((None, Answer::Error(_))) = Answer::read(&message) {
                return;
            }
        }
        std::future::pending().await
    }

    /// Deals with all that comes until the connection ends.
    pub async fn read_on(&mut self) {
        while self.next_answer().await.is_ok() {}
    }

    async fn next_answer(&mut self) -> Result<Bytes, EndReason> {
        loop {
            let message = tokio::select! {
                message = self.inbox.recv() => message,
                reason = self.link.end().wait() => return Err(reason),
            };
            let Some(message) = message else {
                // The connection's task is gone; what it found out comes with the end.
                return Err(self.link.end().wait().await);
            };
            match hearing::hear(&*self.hearing, &self.link, &message) {
                Heard::Whole => {}
                Heard::Answer => return Ok(message),
                Heard::Request { id, method } => self.answer(&id, &method),
            }
        }
    }

    /// Answers a request that no client can be asked.
    fn answer(&self, id: &str, method: &str) {
        let outcome = match method {
            method::PING => r#""result":{}"#.to_owned(),
            method::ROOTS_LIST => r#""result":{"roots":[]}"#.to_owned(),
            method::ELICITATION_CREATE => r#""result":{"action":"decline"}"#.to_owned(),
            // A server that writes back what it reads: a refusal would come back, too.
            method::INITIALIZE => return,
            _ => json_rpc::error(METHOD_NOT_FOUND, &format!("Method not found: {method}")),
        };
        self.link.tell(json_rpc::answer(id, outcome).into());
    }
}
