//! A question of a server to the client behind its connection, and the one answer that it gets.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;

use crate::json::one_line_text;
use crate::protocol::error_code::INTERNAL_ERROR;
use crate::protocol::json_rpc;
use crate::upstream::connection::Connection;

/// How long a client may take to answer. The deadlines of calls over the connection stand still meanwhile.
pub const ANSWERED_WITHIN: Duration = Duration::from_secs(300);

/// A request of a server to the client behind its connection: sampling, elicitation, roots.
///
/// Its server gets one answer whatever becomes of it: one that is dropped is answered with an error.
pub struct Question {
    /// The connection that the answer goes to.
    pub connection: Arc<dyn Connection>,
    /// The server's own id, as JSON text.
    pub id: Box<str>,
    pub method: Box<str>,
    /// The JSON text of an object.
    pub params: Bytes,
    /// Where it counts as open.
    asking: Option<watch::Sender<Asking>>,
    is_answered: bool,
}

/// The open questions to the client behind one connection.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Asking {
    /// Questions without an answer.
    pub open: usize,
    /// Answers that the client has given so far.
    pub answers: u64,
}

impl Question {
    pub fn new(connection: Arc<dyn Connection>, id: &str, method: &str, params: &str) -> Self {
        let params = Bytes::copy_from_slice(params.as_bytes());
        Self { connection, id: id.into(), method: method.into(), params, asking: None, is_answered: false }
    }

    /// Counts the question in `asking` until it is answered.
    #[must_use]
    pub fn counted(mut self, asking: &watch::Sender<Asking>) -> Self {
        asking.send_modify(|asking| asking.open += 1);
        self.asking = Some(asking.clone());
        self
    }

    /// Answers with what the client says: the member `"result":...` or `"error":...`, as JSON text.
    pub fn answer(mut self, outcome: &str) {
        if let Some(asking) = &self.asking {
            asking.send_modify(|asking| asking.answers += 1);
        }
        self.say(outcome);
    }

    /// Answers with an error that says why the client does not answer.
    pub fn refuse(mut self, why: &str) {
        self.say_error(why);
    }

    /// Leaves it without an answer: its server wants none any more, or gets one elsewhere.
    pub fn pass_over(mut self) {
        self.is_answered = true;
    }

    fn say_error(&mut self, why: &str) {
        self.say(&json_rpc::error(INTERNAL_ERROR, why));
    }

    fn say(&mut self, outcome: &str) {
        self.is_answered = true;
        let message = json_rpc::answer(&self.id, outcome);
        self.connection.respond(one_line_text(message).into());
    }
}

impl Drop for Question {
    fn drop(&mut self) {
        if !self.is_answered {
            self.say_error("what it was asked for has ended without an answer of the client's");
        }
        if let Some(asking) = &self.asking {
            asking.send_modify(|asking| asking.open -= 1);
        }
    }
}

impl fmt::Debug for Question {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Question").field("method", &self.method).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::connection::fake::RecordingConnection;

    #[tokio::test]
    async fn a_server_gets_one_answer_whatever_becomes_of_its_question() {
        let connection = RecordingConnection::new();
        let (asking, mut asked) = watch::channel(Asking::default());
        let ask = |id| Question::new(connection.clone(), id, "roots/list", "{}").counted(&asking);
        let (first, second, third, fourth) = (ask("1"), ask(r#""two""#), ask("3"), ask("4"));
        assert_eq!(*asked.borrow_and_update(), Asking { open: 4, answers: 0 });
        first.answer("\"result\":{\"a\":\n1}");
        second.refuse("too \"many\"");
        drop(third);
        fourth.pass_over();
        assert_eq!(*asked.borrow_and_update(), Asking { open: 0, answers: 1 });
        let told = connection.messages();
        assert_eq!(told.len(), 3, "{told:?}");
        assert_eq!(told[0], serde_json::json!({ "jsonrpc": "2.0", "id": 1, "result": { "a": 1 } }));
        assert_eq!((&told[1]["id"], &told[1]["error"]["message"]), (&"two".into(), &"too \"many\"".into()));
        assert_eq!((&told[2]["id"], &told[2]["error"]["code"]), (&3.into(), &INTERNAL_ERROR.into()));
    }
}
