//! What answers mean that are no success, or no answers: their statuses explained, and their words without our secrets.

use std::time::{Duration, SystemTime};

use bytes::{Bytes, BytesMut};
use http::header::{AUTHORIZATION, CONTENT_TYPE, LOCATION, RETRY_AFTER};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use hyper::body::Incoming;

use super::{Answered, Exchange};
use crate::upstream::error::{LinkError, StatusReason};
use crate::upstream::unpack::AnswerBody;
use crate::upstream::words::{self, WrongAnswer};

/// How long words are looked for in a refusal.
const WORDS_WITHIN: Duration = Duration::from_secs(2);
/// What is shorter is no secret, and may be part of any word.
const SHORTEST_SECRET: usize = 6;

impl Exchange {
    /// What an answer with a status that is no success means, with as much of its body as may hold words.
    pub async fn refusal(&self, response: Response<Incoming>) -> (StatusReason, Bytes) {
        let (reason, media_type) =
            (status_reason(&response), media_type(response.headers().get(CONTENT_TYPE)));
        let mut read = BytesMut::new();
        let reading = async {
            let Ok(mut body) = AnswerBody::of(response) else { return };
            while read.len() < words::AMONG
                && let Ok(Some(data)) = body.next().await
            {
                read.extend_from_slice(&data);
            }
        };
        let _what_came_so_far_counts = tokio::time::timeout(WORDS_WITHIN, reading).await;
        read.truncate(words::AMONG);
        let words = words::of_refusal(&media_type, &read).map(|words| self.without_secrets(&words).into());
        (StatusReason { words, ..reason }, read.freeze())
    }

    /// The fault of an answer whose status is a success and whose body is no answer.
    pub fn no_answer(&self, status: StatusCode, kind: Option<&HeaderValue>, body: &[u8]) -> LinkError {
        self.wrong(WrongAnswer::of_body(status.as_u16(), &media_type(kind), body))
    }

    /// The fault of an event that was meant as the answer to a request, and is no JSON.
    pub fn no_json(&self, event: &[u8]) -> LinkError {
        self.wrong(WrongAnswer::no_json(event))
    }

    fn wrong(&self, WrongAnswer { fault, words }: WrongAnswer) -> LinkError {
        let words = words.map(|words| self.without_secrets(&words));
        LinkError::WrongAnswer(WrongAnswer { fault, words })
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

/// What the head of an answer says whose status is no success.
pub(super) fn status_reason<B>(response: &Response<B>) -> StatusReason {
    let text = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
    let target = || {
        let Answered(from) = response.extensions().get()?;
        let target = url::Url::parse(&from.to_string()).ok()?.join(text(LOCATION)?).ok()?;
        // A query may hold secrets.
        Some(format!("{}{}", target.origin().ascii_serialization(), target.path()).into())
    };
    StatusReason {
        status: response.status().as_u16(),
        retry_after: text(RETRY_AFTER).and_then(wait_of),
        target: response.status().is_redirection().then(target).flatten(),
        words: None,
    }
}

/// The value of `Retry-After`: seconds, or a moment (RFC 9110, section 10.2.3).
fn wait_of(value: &str) -> Option<Duration> {
    if let Ok(seconds) = value.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    let until = httpdate::parse_http_date(value).ok()?;
    Some(until.duration_since(SystemTime::now()).unwrap_or_default())
}

/// The media type of a `Content-Type` in lower case, without parameters; empty when it names none.
fn media_type(content_type: Option<&HeaderValue>) -> String {
    let value = content_type.and_then(|value| value.to_str().ok());
    let kind = value.and_then(|value| value.split(';').next()).unwrap_or_default();
    kind.trim().to_ascii_lowercase()
}
