//! The handshake of a server with sessions: `initialize`, its answer, and `notifications/initialized`.

use std::convert::Infallible;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::protocol::json_rpc;
use crate::protocol::method::INITIALIZE;
use crate::protocol::notification::INITIALIZED;
use crate::protocol::revision::WITH_SESSIONS;
use crate::upstream::connection::{Connection, HandshakeStep, INITIALIZE_ID, OutgoingMessage};
use crate::upstream::error::{CloseReason, RequestError};
use crate::upstream::error_text::cut_words;
use crate::upstream::handshake::declaration::Declaration;
use crate::upstream::handshake::reader::{HandshakeParams, ServerReader};
use crate::upstream::info::ServerInfo;
use crate::upstream::message::Reply;

/// Sends `initialize` and reads the server's declaration. Offers the pinned revision, or the latest one with
/// sessions.
pub async fn initialize(
    params: &HandshakeParams<'_>,
    connection: &Arc<dyn Connection>,
    reader: &mut ServerReader,
) -> Result<ServerInfo, CloseReason> {
    let offered = params.pin.filter(|pin| WITH_SESSIONS.contains(pin)).unwrap_or(WITH_SESSIONS[0]);
    let capabilities: Value = serde_json::from_str(params.capabilities).unwrap_or_else(|_| json!({}));
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
    let outgoing = OutgoingMessage { message: message.to_string().into(), step: HandshakeStep::Initialize };
    let sending = async {
        match connection.send(outgoing).await {
            Ok(()) => std::future::pending().await,
            Err(error) => Err::<Infallible, _>(why(&**connection, INITIALIZE, error)),
        }
    };
    // The server may want an answer of its own before it gives this one.
    let answer = tokio::select! {
        biased;
        answer = reader.answer_to(INITIALIZE_ID) => answer?,
        failed = sending => match failed? {},
    };
    let said = match answer {
        Reply::Result(result) => Declaration::read(&result),
        Reply::Error(error) => return Err(CloseReason::handshake(INITIALIZE, &error.message)),
    };
    let said = said.ok_or_else(|| CloseReason::handshake(INITIALIZE, "its answer is no object"))?;
    let agreed = match &said.revision {
        Some(said) if WITH_SESSIONS.contains(&said.as_str()) => said.clone(),
        other => {
            let name = params.server;
            let other = other.as_deref().map_or_else(|| "no revision".to_owned(), cut_words);
            tracing::warn!(mcp_server = %name, "{name} answers `initialize` with {other} as its `protocolVersion`; it is spoken to in {offered}");
            offered.to_owned()
        }
    };
    Ok(said.info(&agreed))
}

/// Sends `notifications/initialized`. A server that refuses it may work all the same.
pub async fn send_initialized(connection: &dyn Connection) -> Result<(), CloseReason> {
    let message = json_rpc::notification(INITIALIZED).into();
    match connection.send(OutgoingMessage { message, step: HandshakeStep::Initialized }).await {
        Ok(()) => Ok(()),
        Err(RequestError::Status(_) | RequestError::WrongAnswer(_) | RequestError::Malformed(_))
            if !connection.end().is_set() =>
        {
            tracing::debug!("{INITIALIZED} was refused");
            Ok(())
        }
        Err(error) => Err(why(connection, INITIALIZED, error)),
    }
}

/// The reason that the connection itself gives is better than what became of one message.
fn why(connection: &dyn Connection, step: &'static str, error: RequestError) -> CloseReason {
    match error {
        _ if connection.end().is_set() => connection.end().reason(),
        error => error.ends(step),
    }
}
