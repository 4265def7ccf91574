//! The greeting of a server with sessions: `initialize`, its answer, and `notifications/initialized`.

use std::convert::Infallible;
use std::sync::Arc;

use serde_json::{Value, json};

use super::incoming::Incoming;
use super::said::Said;
use super::{Greeting, ServerInfo};
use crate::protocol::json_rpc;
use crate::protocol::method::INITIALIZE;
use crate::protocol::notification::INITIALIZED;
use crate::protocol::revision::WITH_SESSIONS;
use crate::upstream::error::{EndReason, LinkError, cut_words};
use crate::upstream::link::{INITIALIZE_ID, Link, Outgoing, Step};
use crate::upstream::message::Answer;

/// Offers the pinned revision (the latest one with sessions without a pin) and waits for what the server says of itself.
pub async fn initialize(
    greeting: &Greeting<'_>,
    link: &Arc<dyn Link>,
    incoming: &mut Incoming,
) -> Result<ServerInfo, EndReason> {
    let offered = greeting.pin.filter(|pin| WITH_SESSIONS.contains(pin)).unwrap_or(WITH_SESSIONS[0]);
    let capabilities: Value = serde_json::from_str(greeting.capabilities).unwrap_or_else(|_| json!({}));
    let message = json!({
        "jsonrpc": "2.0",
        "id": INITIALIZE_ID,
        "method": INITIALIZE,
        "params": {
            "protocolVersion": offered,
            "capabilities": capabilities,
            "clientInfo": { "name": "mcpo", "version": env!("CARGO_PKG_VERSION") },
        },
    });
    let outgoing = Outgoing { message: message.to_string().into(), step: Step::Initialize };
    let sending = async {
        match link.send(outgoing).await {
            Ok(()) => std::future::pending().await,
            Err(error) => Err::<Infallible, _>(why(&**link, INITIALIZE, error)),
        }
    };
    // The server may want an answer of its own before it gives this one.
    let answer = tokio::select! {
        biased;
        answer = incoming.answer_to(INITIALIZE_ID) => answer?,
        failed = sending => match failed? {},
    };
    let said = match answer {
        Answer::Result(result) => Said::read(&result),
        Answer::Error(error) => return Err(failed(INITIALIZE, &error.message)),
    };
    let said = said.ok_or_else(|| failed(INITIALIZE, "its answer is no object"))?;
    let agreed = match &said.revision {
        Some(said) if WITH_SESSIONS.contains(&said.as_str()) => said.clone(),
        other => {
            let name = greeting.server;
            let other = other.as_deref().map_or_else(|| "no revision".to_owned(), cut_words);
            tracing::warn!(mcp_server = %name, "{name} answers `initialize` with {other} as its `protocolVersion`; it is spoken to in {offered}");
            offered.to_owned()
        }
    };
    Ok(said.info(&agreed))
}

/// Tells the server that it was understood. One that refuses to hear it may serve all the same.
pub async fn tell_initialized(link: &dyn Link) -> Result<(), EndReason> {
    let message = json_rpc::notification(INITIALIZED).into();
    match link.send(Outgoing { message, step: Step::Initialized }).await {
        Ok(()) => Ok(()),
        Err(LinkError::Status(_) | LinkError::WrongAnswer(_) | LinkError::Malformed(_))
            if !link.end().is_set() =>
        {
            tracing::debug!("{INITIALIZED} was refused");
            Ok(())
        }
        Err(error) => Err(why(link, INITIALIZED, error)),
    }
}

/// The reason that the connection itself gives is better than what became of one message.
fn why(link: &dyn Link, step: &'static str, error: LinkError) -> EndReason {
    match error {
        _ if link.end().is_set() => link.end().reason(),
        LinkError::NotSent(reason) | LinkError::Lost(reason) => reason,
        LinkError::Status(reason) => EndReason::Status(reason),
        error => failed(step, &error.to_string()),
    }
}

fn failed(step: &'static str, words: &str) -> EndReason {
    EndReason::Handshake { step, error: cut_words(words), stderr: Arc::default() }
}
