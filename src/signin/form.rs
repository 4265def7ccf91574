//! What browsers and clients of the authorization server send: small forms and JSON.

use axum::body::Body;
use axum::extract::Request;
use bytes::Bytes;
use http::StatusCode;

use crate::config::LimitsConfig;
use crate::http::{BodyBudget, BodyError, Problem, read_body};
use crate::protocol::media_type;

/// The longest form or registration, in bytes.
const LONGEST: usize = 16 * 1024;

/// Reads small bodies.
#[derive(Debug)]
pub struct FormReader {
    limits: LimitsConfig,
    bodies: BodyBudget,
}

impl FormReader {
    pub fn new(limits: &LimitsConfig, bodies: BodyBudget) -> Self {
        Self { limits: LimitsConfig { body_bytes: LONGEST, ..limits.clone() }, bodies }
    }

    /// The head and the body of a request whose body is of the type `content_type`.
    pub async fn read(
        &self,
        request: Request,
        content_type: &str,
    ) -> Result<(http::request::Parts, Bytes), Problem> {
        let (head, body) = request.into_parts();
        if !media_type::is(&head.headers, content_type) {
            let sentence = format!("The body must be of the type {content_type}");
            return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", sentence));
        }
        Ok((head, self.body(body).await?))
    }

    async fn body(&self, body: Body) -> Result<Bytes, Problem> {
        let read = read_body(body, &self.limits, &self.bodies).await;
        read.map(|(bytes, _)| bytes).map_err(|error| match error {
            BodyError::TooLarge { limit } => {
                let sentence = format!("The request body is larger than {limit} bytes");
                Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", sentence)
            }
            error => Problem::new(StatusCode::REQUEST_TIMEOUT, "body_too_slow", error.to_string()),
        })
    }
}
