//! JSON-RPC results and errors for clients, and their HTTP status.

use std::borrow::Cow;
use std::fmt::Display;
use std::time::Duration;

use axum::response::Response;
use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::gateway::{Limited, Outcome};
use crate::http::answer::{ERROR_CODE, whole_seconds};
use crate::http::{Problem, json_answer};
use crate::json::clip;
use crate::protocol::error_code::{
    HEADER_MISMATCH, INTERNAL_ERROR, INVALID_PARAMS, INVALID_REQUEST, METHOD_NOT_FOUND,
    MISSING_CLIENT_CAPABILITY, SERVER_ERROR, SESSION_NOT_FOUND, UNSUPPORTED_PROTOCOL_VERSION,
};
use crate::protocol::{Era, json_rpc};
use crate::shares::Exceeded;
use crate::upstream::{RequestError, RpcError};

/// The stable code of the refusal when a caller holds as much as it may.
pub const SHARE_EXCEEDED: &str = "share_exceeded";
/// `Retry-After` where another request has to end first.
const TRY_AGAIN: Duration = Duration::from_secs(1);

/// The HTTP status of an error.
#[derive(Debug, Clone, Copy)]
pub enum Status {
    /// 200: the request was understood, and the error is between the two ends.
    Answered,
    /// The status in the stateless era; in a session the error is [`Status::Answered`].
    Stateless(StatusCode),
    Always(StatusCode),
}

/// The JSON-RPC error that a request ended in. Its message holds no secrets.
#[derive(Debug)]
pub struct Fault {
    pub code: i64,
    message: Cow<'static, str>,
    data: Option<Box<RawValue>>,
    status: Status,
    /// The stable code and `Retry-After` of a refusal that ends with time.
    refusal: Option<(&'static str, Duration)>,
    outcome: Outcome,
}

impl Fault {
    /// The error with this code, at status 200 until [`Self::at`] sets another one.
    pub fn new(code: i64, message: impl Into<Cow<'static, str>>) -> Self {
        let outcome = match code {
            INTERNAL_ERROR => Outcome::INTERNAL,
            HEADER_MISMATCH => Outcome::HEADER_MISMATCH,
            SESSION_NOT_FOUND => Outcome::SESSION_NOT_FOUND,
            _ => Outcome::INVALID_REQUEST,
        };
        let message = message.into();
        Self { code, message, data: None, status: Status::Answered, refusal: None, outcome }
    }

    /// The error with `data`.
    #[must_use]
    pub fn with_data(self, data: &Value) -> Self {
        Self { data: serde_json::value::to_raw_value(data).ok(), ..self }
    }

    pub fn invalid_request(message: &'static str) -> Self {
        Self::new(INVALID_REQUEST, message)
    }

    pub fn invalid_params(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(INVALID_PARAMS, message)
    }

    pub fn internal(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(INTERNAL_ERROR, message)
    }

    /// A request over a limit of its key, with 429 as on the other surfaces.
    pub fn limited(limited: &Limited) -> Self {
        Self::too_many(limited.to_string(), limited.code(), limited.retry_after)
    }

    /// A caller that holds as much as it may, with 429.
    pub fn exceeded(exceeded: &Exceeded) -> Self {
        Self::too_many(exceeded.to_string(), SHARE_EXCEEDED, TRY_AGAIN)
    }

    fn too_many(message: String, code: &'static str, retry_after: Duration) -> Self {
        let fault = Self::new(SERVER_ERROR, message).at(Status::Always(StatusCode::TOO_MANY_REQUESTS));
        Self { refusal: Some((code, retry_after)), ..fault }
    }

    /// A list that got no share of the memory for results within `after`, with 503.
    pub fn no_room(after: Duration) -> Self {
        let message = RequestError::OverBudget { after }.to_string();
        let fault = Self::new(SERVER_ERROR, message).at(Status::Always(StatusCode::SERVICE_UNAVAILABLE));
        Self { refusal: Some(("results_too_many", TRY_AGAIN)), ..fault }
    }

    /// An unknown method, with 404 in the stateless era.
    ///
    /// 2026-07-28, streamable HTTP, "Protocol Version Header".
    pub fn method_not_found(method: &str) -> Self {
        let shown = clip(method, 64);
        Self::new(METHOD_NOT_FOUND, format!("Method not found: {shown}"))
            .at(Status::Stateless(StatusCode::NOT_FOUND))
    }

    /// An unknown session, with 404, so that the client opens a new one.
    ///
    /// 2025-11-25, transports, "Session Management".
    pub fn session_not_found() -> Self {
        Self::new(SESSION_NOT_FOUND, "Session not found").at(Status::Always(StatusCode::NOT_FOUND))
    }

    /// A stream that cannot be resumed. Not with 404: the session exists.
    pub fn not_resumable() -> Self {
        Self::invalid_request(
            "`Last-Event-ID` names no event of an answer that is still kept; send the request again",
        )
        .at(Status::Always(StatusCode::BAD_REQUEST))
    }

    pub fn header_mismatch(what: impl Display) -> Self {
        Self::new(HEADER_MISMATCH, format!("Header mismatch: {what}")).bad()
    }

    pub fn unsupported_revision(requested: &str, supported: &[&str]) -> Self {
        let data = serde_json::json!({ "supported": supported, "requested": requested });
        let mut fault = Self::new(UNSUPPORTED_PROTOCOL_VERSION, "Unsupported protocol version");
        fault.data = serde_json::value::to_raw_value(&data).ok();
        fault.at(Status::Always(StatusCode::BAD_REQUEST))
    }

    /// The server's own error, with 400 in the stateless era where the schema says so.
    pub fn of_server(error: &RpcError) -> Self {
        let mut fault = Self::new(error.code, error.message.clone()).ended(Outcome::RPC_ERROR);
        fault.data = error.data.clone();
        match error.code {
            HEADER_MISMATCH | MISSING_CLIENT_CAPABILITY | UNSUPPORTED_PROTOCOL_VERSION => fault.bad(),
            _ => fault,
        }
    }

    /// An unknown `requestState`, with 400 in the stateless era.
    pub fn unknown_state(message: &'static str) -> Self {
        Self::invalid_params(message).bad().ended(Outcome::UNKNOWN_STATE)
    }

    /// A `requestState` of the gateway whose request waits no more.
    pub fn no_longer_waiting() -> Self {
        Self::unknown_state(
            "the request that these answers are for waits no more, or its replica of the gateway is gone; send the \
             request anew, without `requestState`",
        )
    }

    /// The fault with 400 in the stateless era.
    #[must_use]
    pub fn bad(self) -> Self {
        self.at(Status::Stateless(StatusCode::BAD_REQUEST))
    }

    /// Sets the outcome of a call that ends in this error, where the code does not show it.
    #[must_use]
    pub fn ended(self, outcome: Outcome) -> Self {
        Self { outcome, ..self }
    }

    pub fn outcome(&self) -> Outcome {
        self.outcome
    }

    pub fn message(&self) -> &str {
        &self.message
    }

    #[must_use]
    pub fn at(self, status: Status) -> Self {
        Self { status, ..self }
    }

    /// The response to the request `id`, in the stateless era or before the era is known.
    pub fn response(&self, id: Option<&str>) -> Response {
        self.response_in(Era::Stateless, id)
    }

    /// The response to the request `id` of a client of `era`.
    pub fn response_in(&self, era: Era, id: Option<&str>) -> Response {
        let status = match self.status {
            Status::Stateless(status) if era == Era::Stateless => status,
            Status::Always(status) => status,
            Status::Answered | Status::Stateless(_) => StatusCode::OK,
        };
        let mut response = json_answer(status, self.written(id, self.is_refusal()));
        if let Some((code, retry_after)) = self.refusal {
            let seconds = whole_seconds(retry_after);
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
            response.headers_mut().insert(ERROR_CODE, HeaderValue::from_static(code));
        }
        response
    }

    /// Whether clients go by the status: with 400, SDKs accept only JSON-RPC's own members in the body.
    fn is_refusal(&self) -> bool {
        matches!(self.status, Status::Always(status) if status != StatusCode::BAD_REQUEST)
    }

    /// The message itself.
    pub fn text(&self, id: Option<&str>) -> Bytes {
        self.written(id, false)
    }

    /// `detailed` adds FastAPI's `detail`, as the errors of all other surfaces have it.
    fn written(&self, id: Option<&str>, detailed: bool) -> Bytes {
        let data = self.data.as_deref().map(RawValue::get);
        let mut outcome = json_rpc::error_with(self.code, &self.message, data);
        if detailed {
            outcome.push_str(&format!(",\"detail\":{}", Value::from(&*self.message)));
        }
        json_rpc::answer(id.unwrap_or("null"), outcome).into()
    }
}

/// The response to a request whose message was not read: some SDKs show people only JSON-RPC errors.
pub fn refused(problem: Problem) -> Response {
    let text = Fault::new(SERVER_ERROR, problem.detail().to_owned()).written(None, true);
    problem.with_body(text)
}

/// The response to the request `id`, with the JSON text of its result.
pub fn result(id: &str, result: &[u8]) -> Response {
    json_answer(StatusCode::OK, json_rpc::result(id, result))
}

/// The JSON text of a value of the gateway's own.
pub fn text(value: &Value) -> Bytes {
    serde_json::to_vec(value).expect("a JSON value is always written").into()
}

/// Puts `members` in front of those of the JSON text of an object. They end without a comma.
pub fn with_members(object: &[u8], members: &str) -> Bytes {
    let inner = object.trim_ascii_start();
    let inner = inner.strip_prefix(b"{").unwrap_or(inner);
    let is_empty = inner.trim_ascii_start().starts_with(b"}");
    let mut text = Vec::with_capacity(inner.len() + members.len() + 2);
    text.push(b'{');
    text.extend_from_slice(members.as_bytes());
    if !is_empty {
        text.push(b',');
    }
    text.extend_from_slice(inner);
    text.into()
}
