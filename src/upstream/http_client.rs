//! The pooled HTTP client towards servers.
//!
//! Two things set it apart from a stock client. Connections are kept (a call costs no handshake), and the
//! kernel acknowledges at once what it receives: a server that leaves Nagle's algorithm on holds back the
//! second half of its answer until the first half is acknowledged, which a kept connection otherwise does
//! 40 ms late (`tcp(7)`, `TCP_QUICKACK`).

pub mod proxy;
pub mod quick_ack;
pub mod resolver;

use std::io;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::PROXY_AUTHORIZATION;
use http::{HeaderMap, HeaderValue, Request, Uri, Version};
use http_body_util::Full;
use hyper_rustls::{ConfigBuilderExt as _, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::{Client, ResponseFuture};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::{ClientConfig, ConfigBuilder, RootCertStore, WantsVerifier};
use tokio::sync::OnceCell;

use crate::file;
use crate::upstream::http_client::proxy::{Proxies, ProxyConnector};
use crate::upstream::http_client::resolver::{AddressScope, Resolver};

/// How long unused connections may be kept, one pool for each, in milliseconds. The shortest that is more than nothing
/// serves servers that end theirs after a second.
const IDLE_TIMEOUTS: [u64; 10] = [0, 750, 1_500, 3_000, 4_000, 9_000, 14_000, 28_000, 45_000, 60_000];
/// The one for servers that do not say: many end theirs after 5 s without a word, and a request that meets the end is lost.
const DEFAULT_IDLE_TIMEOUT: IdleTimeout = IdleTimeout(4);
/// The time for HTTP/2, where a server names the requests that it has not seen.
const LONGEST: IdleTimeout = IdleTimeout(IDLE_TIMEOUTS.len() - 1);
/// Pings on HTTP/2 connections with open requests, and how long their answers may take.
const PING_INTERVAL: Duration = Duration::from_secs(20);
const PING_TIMEOUT: Duration = Duration::from_secs(10);
/// Unused connections kept for each server.
const IDLE_PER_HOST: usize = 64;

/// A client for one scheme. Cheap to clone; clones share the pool.
#[derive(Debug, Clone)]
pub struct HttpClient {
    client: Client<HttpsConnector<ProxyConnector>, Full<Bytes>>,
    proxies: Proxies,
}

impl HttpClient {
    /// Sends a request, through a proxy where the environment names one.
    pub fn request(&self, mut request: Request<Full<Bytes>>) -> ResponseFuture {
        if let Some(credentials) = self.proxies.authorization(request.uri()) {
            request.headers_mut().insert(PROXY_AUTHORIZATION, credentials);
        }
        self.client.request(request)
    }
}

/// The header of basic authorization (RFC 7617).
pub fn basic_authorization(user: &[u8], password: &[u8]) -> HeaderValue {
    let pair = STANDARD.encode([user, b":", password].concat());
    let mut header = HeaderValue::from_str(&format!("Basic {pair}")).expect("base64 is printable ASCII");
    header.set_sensitive(true);
    header
}

/// How long connections of a server are kept that are not used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdleTimeout(usize);

impl Default for IdleTimeout {
    fn default() -> Self {
        DEFAULT_IDLE_TIMEOUT
    }
}

impl IdleTimeout {
    /// How long the connection of a response may idle: less than its `Keep-Alive: timeout`.
    pub fn of_response(version: Version, headers: &HeaderMap) -> Self {
        if version == Version::HTTP_2 {
            return LONGEST;
        }
        let Some(seconds) = headers.get("keep-alive").and_then(|value| timeout_of(value.to_str().ok()?))
        else {
            return DEFAULT_IDLE_TIMEOUT;
        };
        let seconds = seconds.saturating_mul(1_000);
        let safe = seconds.saturating_sub((seconds / 4).min(1_000));
        Self(IDLE_TIMEOUTS.iter().rposition(|idle| *idle <= safe).unwrap_or_default())
    }
}

/// The seconds of `timeout=5, max=100`.
fn timeout_of(keep_alive: &str) -> Option<u64> {
    keep_alive.split(',').find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        let is_timeout = name.trim().eq_ignore_ascii_case("timeout");
        is_timeout.then(|| value.trim().trim_matches('"').parse().ok()).flatten()
    })
}

/// The clients of the gateway, each made when the first server needs it. The roots that TLS trusts cost time and
/// memory that a gateway with local servers only should not pay.
#[derive(Debug, Default)]
pub struct HttpClients {
    proxies: Proxies,
    is_http1_alone: bool,
    /// For each idle timeout one without TLS and one with it.
    unbounded: [[OnceCell<HttpClient>; 2]; IDLE_TIMEOUTS.len()],
    /// The root certificates that TLS trusts.
    trust: OnceCell<ClientConfig>,
    /// For each scope one without TLS and one with it.
    bounded: [[OnceCell<HttpClient>; 2]; 3],
}

impl HttpClients {
    /// Clients that go through these proxies; there are none by default.
    pub fn through(proxies: Proxies) -> Self {
        Self { proxies, ..Self::default() }
    }

    /// Clients that speak HTTP/1.1 alone, so that a request names no other host than its `Host`.
    pub fn over_http1() -> Self {
        Self { is_http1_alone: true, ..Self::default() }
    }

    /// The client for `url` whose idle connections are kept for `idle`. Fails when the system's root certificates
    /// cannot be read.
    pub async fn client(&self, url: &Uri, idle: IdleTimeout) -> io::Result<HttpClient> {
        let is_secure = url.scheme_str() == Some("https");
        let make = || self.make(is_secure, None, idle);
        self.unbounded[idle.0][usize::from(is_secure)].get_or_try_init(make).await.cloned()
    }

    /// A client for `url` that connects only to addresses within `scope`: a server named the `url`. Fails when the
    /// system's root certificates cannot be read.
    pub async fn bounded(&self, scope: AddressScope, url: &Uri) -> io::Result<HttpClient> {
        let is_secure = url.scheme_str() == Some("https");
        let make = || self.make(is_secure, Some(scope), DEFAULT_IDLE_TIMEOUT);
        self.bounded[scope as usize][usize::from(is_secure)].get_or_try_init(make).await.cloned()
    }

    async fn make(
        &self,
        is_secure: bool,
        within: Option<AddressScope>,
        idle: IdleTimeout,
    ) -> io::Result<HttpClient> {
        let tls = if is_secure {
            self.trust().await?
        } else {
            // The connector wants a configuration also where no connection has TLS.
            tls()?.with_root_certificates(RootCertStore::empty()).with_no_client_auth()
        };
        let connector = ProxyConnector::new(Resolver::new(within), self.proxies.clone());
        let builder = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1();
        let connector = match self.is_http1_alone {
            true => builder.wrap_connector(connector),
            false => builder.enable_http2().wrap_connector(connector),
        };
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            // Without this a connection that a router silently forgot would take calls for a quarter of an hour.
            .timer(TokioTimer::new())
            .http2_keep_alive_interval(PING_INTERVAL)
            .http2_keep_alive_timeout(PING_TIMEOUT)
            .pool_idle_timeout(Duration::from_millis(IDLE_TIMEOUTS[idle.0]))
            .pool_max_idle_per_host(if idle.0 == 0 { 0 } else { IDLE_PER_HOST })
            .build(connector);
        Ok(HttpClient { client, proxies: self.proxies.clone() })
    }

    async fn trust(&self) -> io::Result<ClientConfig> {
        let make = || async {
            let read = || tls()?.with_native_roots().map(|builder| builder.with_no_client_auth());
            file::apart(read).await.map_err(io::Error::other)?
        };
        self.trust.get_or_try_init(make).await.cloned()
    }
}

fn tls() -> io::Result<ConfigBuilder<ClientConfig, WantsVerifier>> {
    let builder = ClientConfig::builder_with_provider(rustls::crypto::ring::default_provider().into());
    builder.with_safe_default_protocol_versions().map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn connections_rest_for_less_than_their_server_keeps_them() {
        for (seconds, milliseconds) in [
            (None, 4_000),
            (Some("timeout=1"), 750),
            (Some("timeout=2"), 1_500),
            (Some("Timeout = 5, max=100"), 4_000),
            (Some("max=10, timeout=\"15\""), 14_000),
            (Some("timeout=72"), 60_000),
            (Some("timeout=99999999999999999999"), 4_000),
            (Some("timeout=0"), 0),
            (Some("close"), 4_000),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(seconds) = seconds {
                headers.insert("keep-alive", HeaderValue::from_static(seconds));
            }
            assert_eq!(
                IDLE_TIMEOUTS[IdleTimeout::of_response(Version::HTTP_11, &headers).0],
                milliseconds,
                "{seconds:?}"
            );
            assert_eq!(IdleTimeout::of_response(Version::HTTP_2, &headers), LONGEST);
        }
        assert_eq!(IDLE_TIMEOUTS[DEFAULT_IDLE_TIMEOUT.0], 4_000);
    }
}
