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

    /// Starts the server of `config` over the known transport, or streamable HTTP. Where the entry leaves the transport
    /// open, a server that has no use for the first one is started over the other.
    ///
    /// # Errors
    ///
    /// Why there is no connection. When both starts failed, the reason is that of streamable HTTP, which nearly all
    /// servers speak.
    pub async fn start<T, F: Future<Output = Result<T, CloseReason>>>(
        &self,
        config: &TransportConfig,
        over: impl Fn(HttpTransport) -> F,
    ) -> Result<T, CloseReason> {
        let is_open = matches!(config, TransportConfig::Http(_));
        let first = self.get().unwrap_or(HttpTransport::StreamableHttp);
        let reason = match over(first).await {
            Err(reason) if is_open && may_speak_the_other(&reason) => reason,
            started => {
                if is_open && started.is_ok() {
                    self.learn(Some(first));
                }
                return started;
            }
        };
        let second = first.other();
        match over(second).await {
            Ok(started) => {
                self.learn(Some(second));
                Ok(started)
            }
            Err(stopped @ CloseReason::Stopping) => Err(stopped),
            Err(reason) if second == HttpTransport::StreamableHttp => Err(reason),
            Err(_) => Err(reason),
        }
    }
}

/// Whether a failed start may succeed over the other transport: its server refuses the first request of this one.
fn may_speak_the_other(reason: &CloseReason) -> bool {
    match reason {
        CloseReason::Status(StatusReason { status, .. }) => {
            matches!(status, 400..=499 | 501) && !matches!(status, 401 | 407 | 429)
        }
        CloseReason::OtherTransport(_) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::future::ready;

    use HttpTransport::{Sse, StreamableHttp};
    use futures_util::FutureExt as _;

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
        let config = HttpConfig {
            url: SecretText::literal("http://a.test"),
            other_urls: Vec::new(),
            headers: Vec::new(),
            oauth: None,
        };
        let config = TransportConfig::Http(config);
        let tried = RefCell::new(Vec::new());
        let over = |transport| {
            tried.borrow_mut().push(transport);
            ready(if Some(transport) == spoken { Ok(()) } else { Err(refusal.clone()) })
        };
        let started = found.start(&config, over).now_or_never().unwrap();
        let tried = tried.into_inner();
        assert_eq!(started.is_ok(), spoken.is_some_and(|spoken| tried.contains(&spoken)));
        tried
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
