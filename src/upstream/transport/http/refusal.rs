//! Explains responses that are refusals or not answers, without our secrets in their words.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use hyper::body::Incoming;

use crate::upstream::error::{RequestError, StatusReason};
use crate::upstream::error_text::{self, WrongAnswer};
use crate::upstream::transport::http::endpoint::HttpEndpoint;
use crate::upstream::transport::http::status::{media_type, status_reason};
use crate::upstream::transport::http::unpack::AnswerBody;

/// How long words are looked for in a refusal.
const WORDS_WITHIN: Duration = Duration::from_secs(2);
/// A shorter value is not taken for a secret: it may be part of any word.
const SHORTEST_SECRET: usize = 6;

impl HttpEndpoint {
    /// The reason of a non-2xx response, with as much of its body as may hold words.
    pub async fn refusal(&self, response: Response<Incoming>) -> (StatusReason, Bytes) {
        let (reason, media_type) =
            (status_reason(&response), media_type(response.headers().get(CONTENT_TYPE)));
        let mut read = BytesMut::new();
        let reading = async {
            let Ok(mut body) = AnswerBody::of(response) else { return };
            while read.len() < error_text::AMONG
                && let Ok(Some(data)) = body.next().await
            {
                read.extend_from_slice(&data);
            }
        };
        let _what_came_so_far_counts = tokio::time::timeout(WORDS_WITHIN, reading).await;
        read.truncate(error_text::AMONG);
        let words =
            error_text::of_refusal(&media_type, &read).map(|words| self.without_secrets(&words).into());
        (StatusReason { words, ..reason }, read.freeze())
    }

    /// The error for a 2xx response whose body is not an answer.
    pub fn no_answer(&self, status: StatusCode, kind: Option<&HeaderValue>, body: &[u8]) -> RequestError {
        self.wrong(WrongAnswer::of_body(status.as_u16(), &media_type(kind), body))
    }

    /// The error for an event that should be an answer, and is not JSON.
    pub fn no_json(&self, event: &[u8]) -> RequestError {
        self.wrong(WrongAnswer::no_json(event))
    }

    fn wrong(&self, WrongAnswer { fault, words }: WrongAnswer) -> RequestError {
        let words = words.map(|words| self.without_secrets(&words));
        RequestError::WrongAnswer(WrongAnswer { fault, words })
    }

    /// Words of the server without the secrets that our requests carry: some servers say them again.
    fn without_secrets(&self, words: &str) -> String {
        let url = self.url.load();
        let query = url.query().unwrap_or_default();
        let in_query = query.split('&').filter_map(|pair| pair.split_once('=').map(|(_, value)| value));
        let is_secret =
            |(name, value): &(&HeaderName, &HeaderValue)| value.is_sensitive() || *name == AUTHORIZATION;
        let in_headers = self.headers.iter().filter(is_secret).filter_map(|(_, value)| value.to_str().ok());
        let secrets =
            in_headers.flat_map(|value| [Some(value), value.rsplit_once(' ').map(|(_, secret)| secret)]);
        let mut words = words.to_owned();
        for secret in secrets.flatten().chain(in_query).filter(|secret| secret.len() >= SHORTEST_SECRET) {
            words = words.replace(secret, "***");
        }
        words
    }
}
