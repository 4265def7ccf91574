//! Per-request bridge: which client may be asked, and in which era's form the result is written.

use std::sync::Arc;

use bytes::Bytes;

use super::active::CalledTool;
use super::ask_client;
use super::client::SessionClient;
use crate::gateway::{self, CallError, Outcome, Outgoing, asks_for_input};
use crate::json::Members;
use crate::mcp::response::fault::Fault;
use crate::mcp::response::strict;
use crate::protocol::Era;
use crate::protocol::meta::{LOG_LEVEL, SERVER_INFO};
use crate::upstream::{Progress, Reply};

/// Members of results that the era of sessions does not have.
const OF_STATELESS: [&str; 3] = ["resultType", "ttlMs", "cacheScope"];

/// The means of one request to cross from the client's era to the server's.
#[derive(Debug)]
pub struct Bridge {
    pub era: Era,
    /// Routes a request's side messages: progress, which extends the deadline, and logs.
    pub progress: Option<Arc<Progress>>,
    /// The client, if servers may ask it for input or it wants log messages.
    pub client: Option<gateway::Client>,
    /// The client of a session, which is asked by requests.
    pub session: Option<Arc<SessionClient>>,
    /// Where a call that may wait for its client notes its tool.
    pub called: Option<Arc<CalledTool>>,
}

impl Bridge {
    /// The bridge of a request that gets only its result.
    pub fn plain(era: Era) -> Self {
        Self { era, progress: None, client: None, session: None, called: None }
    }

    /// The additions to a request for its server; `more` and `meta` are members of its own.
    pub fn outgoing(&self, server_era: Era, more: String, mut meta: String) -> Outgoing {
        let level = self.client.as_ref().and_then(|client| client.side.log_level.as_deref());
        if let (Era::Stateless, Some(level)) = (server_era, level) {
            let comma = if meta.is_empty() { "" } else { "," };
            meta = format!("\"{LOG_LEVEL}\":\"{level}\"{comma}{meta}");
        }
        Outgoing { more, meta, progress: self.progress.clone(), client: self.client.clone() }
    }

    /// The members that carry the client's answers, for a server that understands them.
    ///
    /// # Errors
    ///
    /// When the server has sessions, and so never sent a `requestState`.
    pub fn client_answers(
        &self,
        server_era: Era,
        has_state: bool,
        members: impl FnOnce() -> String,
    ) -> Result<String, Fault> {
        match server_era {
            Era::Stateless => Ok(members()),
            Era::Sessions if has_state => Err(Fault::unknown_state(
                "`requestState` stands for no request that waits; send the request without it",
            )),
            Era::Sessions => Ok(String::new()),
        }
    }

    /// Gets the input that the server asked for, and returns whether to send the request again.
    ///
    /// The client of the session answers, and `outgoing` gets its answers. `round` counts.
    ///
    /// # Errors
    ///
    /// When the client cannot be asked, refuses, or is asked too often.
    pub async fn answer_and_repeat(
        &self,
        reply: &Result<Reply, CallError>,
        round: &mut usize,
        outgoing: &mut Outgoing,
    ) -> Result<bool, Fault> {
        let result = match (reply, self.era) {
            (Ok(Reply::Result(result)), Era::Sessions) if asks_for_input(result) => result,
            _ => return Ok(false),
        };
        let Some(session) = &self.session else {
            let fault = Fault::internal("the server asks for input, and the client declared no way to");
            return Err(fault.ended(Outcome::INPUT_UNAVAILABLE));
        };
        *round += 1;
        if *round > ask_client::MOST_ROUNDS {
            let fault = Fault::internal("the server asks for input again and again");
            return Err(fault.ended(Outcome::TOO_MANY_ROUNDS));
        }
        outgoing.more = Box::pin(ask_client::fulfil(session, result)).await?;
        Ok(true)
    }

    /// A result in the form that clients of `era` accept; `None` when it has that form already.
    ///
    /// `members` are those of the result, and `is_call` means that it is the result of a tool.
    ///
    /// # Errors
    ///
    /// When it has too many members.
    pub fn result_for(
        era: Era,
        server_era: Era,
        members: Members<'_>,
        is_call: bool,
    ) -> serde_json::Result<Option<Bytes>> {
        let Some(readable) = strict::readable(era, &members, is_call) else {
            return Ok(Self::translated(era, server_era, members));
        };
        let translated = Self::translated(era, server_era, serde_json::from_slice(&readable)?);
        Ok(Some(translated.unwrap_or(readable)))
    }

    /// A result in the form of the client's `era`; `None` when it has that form. The other way is [`Era::completed`].
    fn translated(era: Era, server_era: Era, mut members: Members<'_>) -> Option<Bytes> {
        if era == Era::Stateless || server_era == Era::Sessions {
            return None;
        }
        members.0.retain(|(name, _)| !OF_STATELESS.contains(&&**name));
        let Some(mut meta) = members.read::<Members<'_>>("_meta") else {
            return Some(members.object().into());
        };
        meta.0.retain(|(name, _)| name != SERVER_INFO);
        members.0.retain(|(name, _)| name != "_meta");
        if meta.0.is_empty() {
            return Some(members.object().into());
        }
        let (meta, rest) = (meta.object(), members.inner());
        let comma = if rest.is_empty() { "" } else { "," };
        Some(format!("{{\"_meta\":{meta}{comma}{rest}}}").into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_with_a_session_gets_the_words_of_its_era() {
        let said = r#"{"resultType":"complete","content":[1.0],"_meta":{"io.modelcontextprotocol/serverInfo":{},"a":1}}"#;
        let translated =
            |era, server_era, text| Bridge::translated(era, server_era, serde_json::from_str(text).unwrap());
        let changed = translated(Era::Sessions, Era::Stateless, said).unwrap();
        assert_eq!(changed, r#"{"_meta":{"a":1},"content":[1.0]}"#);
        let bare = r#"{"ttlMs":0,"_meta":{"io.modelcontextprotocol/serverInfo":{}}}"#;
        assert_eq!(translated(Era::Sessions, Era::Stateless, bare).unwrap(), "{}");
        assert_eq!(translated(Era::Stateless, Era::Stateless, said), None);
        assert_eq!(translated(Era::Sessions, Era::Sessions, said), None);
    }
}
