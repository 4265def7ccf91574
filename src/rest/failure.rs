//! The HTTP answer to a failed call: status, stable code and a plain sentence.
//!
//! Every variant is named, so that a new kind of failure asks for a decision here.

use std::time::Duration;

use axum::response::{IntoResponse as _, Response};
use http::{HeaderValue, StatusCode, header};
use serde_json::json;

use super::{problem, result};
use crate::catalog::Caller;
use crate::config::ServerName;
use crate::gateway::error::{MissingSignIn as _, unavailable_for};
use crate::gateway::{CallError, FindError, Limited};
use crate::http::answer::{coded_answer, whole_seconds};
use crate::http::{Problem, error_answer, json_answer};
use crate::upstream::error::StatusReason;
use crate::upstream::{RequestError, RpcError, Unavailable};

/// The scheme of a sign-in at the address in the body; RFC 9110, section 11.6.1 wants a challenge with each 401.
const SIGN_IN: &str = "SignIn realm=\"server\"";

/// A call that got no answer.
pub fn call(server: &ServerName, error: &CallError, caller: &Caller) -> Response {
    let name = server.as_str();
    if let Some(link) = error.sign_in() {
        return sign_in(name, link);
    }
    match error {
        CallError::Arguments(faults) => {
            coded_answer(StatusCode::UNPROCESSABLE_ENTITY, "bad_arguments", problem::body(faults))
        }
        CallError::Limited(limited) => limited_answer(name, limited),
        CallError::Unavailable(reason) => unavailable(name, reason, caller),
        CallError::Deadline { .. } => {
            answer(StatusCode::GATEWAY_TIMEOUT, "deadline", name, &error.public(), None)
        }
        CallError::Link(link) => {
            let (status, code) = match link {
                RequestError::NotSent(_) => (StatusCode::SERVICE_UNAVAILABLE, "server_unavailable"),
                RequestError::Lost(_) => (StatusCode::BAD_GATEWAY, "connection_lost"),
                RequestError::SessionLost { .. } => (StatusCode::BAD_GATEWAY, "session_lost"),
                RequestError::Status(StatusReason { status: 429, .. }) => {
                    (StatusCode::TOO_MANY_REQUESTS, "server_status")
                }
                RequestError::Status(_) => (StatusCode::BAD_GATEWAY, "server_status"),
                RequestError::TooLarge { .. } => (StatusCode::BAD_GATEWAY, "result_too_large"),
                RequestError::OverBudget { .. } => (StatusCode::SERVICE_UNAVAILABLE, "results_too_many"),
                RequestError::Garbled(_) | RequestError::WrongAnswer(_) | RequestError::Malformed(_) => {
                    (StatusCode::BAD_GATEWAY, "protocol_fault")
                }
            };
            let wait = match link {
                RequestError::Status(StatusReason { status: 429, retry_after, .. }) => *retry_after,
                _ => (status == StatusCode::SERVICE_UNAVAILABLE).then_some(Duration::from_secs(1)),
            };
            answer(status, code, name, &error.message_for(caller), wait)
        }
    }
}

/// A tool that was not found.
pub fn find(server: &str, error: &FindError, caller: &Caller) -> Response {
    if let Some(link) = error.sign_in() {
        return sign_in(server, link);
    }
    match error {
        FindError::Server | FindError::Tool => Problem::not_found().into_response(),
        FindError::Quarantined(_) => {
            answer(StatusCode::FORBIDDEN, "quarantined", server, &error.for_callers(), None)
        }
        FindError::Limited(limited) => limited_answer(server, limited),
        FindError::Unavailable(reason) => unavailable(server, reason, caller),
        FindError::Deadline { after } => {
            let message = format!("it did not get ready within {} s", after.as_secs_f32());
            answer(StatusCode::GATEWAY_TIMEOUT, "deadline", server, &message, None)
        }
    }
}

/// A JSON-RPC error of the server (as in mcpo 0.0.20).
pub fn rpc(error: &RpcError) -> Response {
    let (status, body) = result::rpc::answer(error.code, &error.message, error.data.as_deref());
    json_answer(StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), body)
}

/// An answer of the server that breaks the protocol.
pub fn protocol(message: &str) -> Response {
    error_answer(StatusCode::BAD_GATEWAY, "protocol_fault", &json!({ "message": message }))
}

/// A caller that has to sign in to the server at `link`: no credentials of the request can stand for that.
fn sign_in(server: &str, link: &str) -> Response {
    let message = format!("{server}: you have not signed in to this server; open {link}");
    let body = json!({ "message": message, "signIn": link });
    let response = error_answer(StatusCode::UNAUTHORIZED, "sign_in_needed", &body);
    ([(header::WWW_AUTHENTICATE, HeaderValue::from_static(SIGN_IN))], response).into_response()
}

fn limited_answer(server: &str, limited: &Limited) -> Response {
    let (status, wait) = (StatusCode::TOO_MANY_REQUESTS, Some(limited.retry_after));
    answer(status, limited.code(), server, &limited.to_string(), wait)
}

fn unavailable(server: &str, unavailable: &Unavailable, caller: &Caller) -> Response {
    let message = unavailable_for(unavailable, caller);
    let (status, wait) = (StatusCode::SERVICE_UNAVAILABLE, Some(unavailable.retry_after));
    answer(status, "server_unavailable", server, &message, wait)
}

fn answer(
    status: StatusCode,
    code: &'static str,
    server: &str,
    message: &str,
    wait: Option<Duration>,
) -> Response {
    let response = error_answer(status, code, &json!({ "message": format!("{server}: {message}") }));
    let retry_after = wait.map(|wait| [(header::RETRY_AFTER, HeaderValue::from(whole_seconds(wait)))]);
    (retry_after, response).into_response()
}
