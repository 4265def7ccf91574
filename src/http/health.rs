//! `GET /health`: the gateway is alive. It needs no key and says nothing about servers; `/ready` does.

use axum::response::Response;
use bytes::Bytes;
use http::StatusCode;

use super::answer::json_answer;

/// Answers 200 `{"status":"ok"}`.
pub async fn health() -> Response {
    json_answer(StatusCode::OK, Bytes::from_static(br#"{"status":"ok"}"#))
}
