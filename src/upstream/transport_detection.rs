//! Detects which of the two HTTP transports a server speaks when its entry leaves it open (2025-11-25, "Backwards
//! Compatibility"). The answer is remembered while the entry stays the same.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use serde::{Deserialize, Serialize};

use crate::config::TransportConfig;
use crate::upstream::error::{CloseReason, StatusReason};

/// The two HTTP transports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HttpTransport {
    StreamableHttp,
    Sse,
}

impl HttpTransport {
    /// Its name as the value of `type`.
    pub fn name(self) -> &'static str {
        match self {
            Self::StreamableHttp => "streamable-http",
            Self::Sse => "sse",
        }
    }

    fn other(self) -> Self {
        match self {
            Self::StreamableHttp => Self::Sse,
            Self::Sse => Self::StreamableHttp,
        }
    }

    /// Whether a failed start may succeed over the other transport: a server of the other one refuses the first
    /// request of this one.
    fn may_be_the_other(self, reason: &CloseReason) -> bool {
        match (self, reason) {
            (_, CloseReason::Status(StatusReason { status, .. })) => {
                matches!(status, 400..=499 | 501) && !matches!(status, 401 | 407 | 429)
            }
            (_, CloseReason::OtherTransport(_)) => true,
            _ => false,
        }
    }
}

/// The HTTP transport of one server, as far as it is known.
#[derive(Debug, Default)]
pub struct TransportCache(ArcSwapOption<HttpTransport>);

impl TransportCache {
    pub fn get(&self) -> Option<HttpTransport> {
        self.0.load().as_deref().copied()
    }

    /// Notes the transport that was found, in this run or an earlier one.
    pub fn learn(&self, found: Option<HttpTransport>) {
        self.0.store(found.map(Arc::new));
    }

    /// The transport of the first try: the known one, else streamable HTTP.
    pub fn first(&self) -> HttpTransport {
        self.get().unwrap_or(HttpTransport::StreamableHttp)
    }

    /// Takes note of a start over `tried`. Gives the transport to try next: the other one, where the entry leaves it open
    /// and the server has no use for the first.
    pub fn next_after<T>(
        &self,
        config: &TransportConfig,
        tried: HttpTransport,
        started: &Result<T, CloseReason>,
    ) -> Option<HttpTransport> {
        if !matches!(config, TransportConfig::Http(_)) {
            return None;
        }
        match started {
            Ok(_) => {
                self.learn(Some(tried));
                None
            }
            Err(reason) => tried.may_be_the_other(reason).then(|| tried.other()),
        }
    }

    /// Takes note of the second start, over `tried`. When both failed, the reason is that of streamable HTTP, which nearly
    /// all servers speak.
    ///
    /// # Errors
    ///
    /// Why there is no connection.
    pub fn settle<T>(
        &self,
        first: Result<T, CloseReason>,
        tried: HttpTransport,
        second: Result<T, CloseReason>,
    ) -> Result<T, CloseReason> {
        match second {
            Ok(started) => {
                self.learn(Some(tried));
                Ok(started)
            }
            Err(stopped @ CloseReason::Stopping) => Err(stopped),
            Err(reason) if tried == HttpTransport::StreamableHttp => Err(reason),
            Err(_) => first,
        }
    }
}

#[cfg(test)]
mod tests {
    use HttpTransport::{Sse, StreamableHttp};

    use super::*;
    use crate::config::{HttpConfig, SecretText};

    fn status(status: u16) -> CloseReason {
        CloseReason::Status(StatusReason { status, ..StatusReason::default() })
    }

    /// The transports that are tried in turn with a server that speaks `spoken` and refuses the other with `refusal`.
    fn tried(
        found: &TransportCache,
        spoken: Option<HttpTransport>,
        refusal: &CloseReason,
    ) -> Vec<HttpTransport> {
        let config =
            HttpConfig { url: SecretText::literal("http://a.test"), headers: Vec::new(), oauth: None };
        let config = TransportConfig::Http(config);
        let start = |transport| if Some(transport) == spoken { Ok(()) } else { Err(refusal.clone()) };
        let first = found.first();
        let started = start(first);
        let Some(second) = found.next_after(&config, first, &started) else { return vec![first] };
        let settled = found.settle(started, second, start(second));
        assert_eq!(settled.is_ok(), spoken.is_some());
        vec![first, second]
    }

    #[test]
    fn streamable_http_is_tried_first_and_what_was_found_from_then_on() {
        for refusal in [400, 403, 404, 405, 406, 415, 501].map(status) {
            let found = TransportCache::default();
            assert_eq!(tried(&found, Some(Sse), &refusal), [StreamableHttp, Sse], "{refusal}");
            assert_eq!(tried(&found, Some(Sse), &refusal), [Sse], "{refusal}");
            // It has learnt the newer one meanwhile.
            assert_eq!(tried(&found, Some(StreamableHttp), &refusal), [Sse, StreamableHttp], "{refusal}");
            assert_eq!(found.get(), Some(StreamableHttp));
        }
        assert_eq!(tried(&TransportCache::default(), None, &status(404)), [StreamableHttp, Sse]);
    }

    #[test]
    fn what_says_nothing_of_the_transport_tries_no_other() {
        let broken = CloseReason::Broken("reset".to_owned());
        for refusal in [status(401), status(429), status(500), status(503), broken, CloseReason::Stopping] {
            assert_eq!(tried(&TransportCache::default(), Some(Sse), &refusal), [StreamableHttp], "{refusal}");
        }
    }
}
