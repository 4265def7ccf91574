//! The pooled HTTP client towards servers.
//!
//! Two things set it apart from a stock client. Connections are kept (a call costs no handshake), and the
//! kernel is told to acknowledge at once what it receives: a server that leaves Nagle's algorithm on holds
//! back the second half of its answer until the first half is acknowledged, which a kept connection
//! otherwise does 40 ms late (`tcp(7)`, `TCP_QUICKACK`).

mod resolver;

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::Uri;
use http_body_util::Full;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_rustls::{ConfigBuilderExt as _, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::sync::OnceCell;

use crate::file;
pub use resolver::Reach;
use resolver::Resolver;

/// How long a TCP connection to a server may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long an unused connection is kept.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);
/// Pings on HTTP/2 connections with open requests, and how long their answers may take.
const PING_INTERVAL: Duration = Duration::from_secs(20);
const PING_TIMEOUT: Duration = Duration::from_secs(10);
/// Unused connections kept for each server.
const IDLE_PER_HOST: usize = 64;

/// A client for one scheme. Cheap to clone; clones share the pool.
pub type HttpClient = Client<HttpsConnector<QuickAckConnector>, Full<Bytes>>;

/// The clients of the gateway, made when the first server needs them: the roots that TLS trusts cost
/// time and memory that a gateway with local servers only should not pay.
#[derive(Debug, Default)]
pub struct HttpClients {
    plain: OnceCell<HttpClient>,
    secure: OnceCell<HttpClient>,
    /// What TLS trusts.
    trust: OnceCell<rustls::ClientConfig>,
    /// For each reach one without TLS and one with it.
    bounded: [[OnceCell<HttpClient>; 2]; 3],
}

impl HttpClients {
    /// The client for `url`. Fails when the system's root certificates cannot be read.
    pub async fn client(&self, url: &Uri) -> io::Result<HttpClient> {
        if url.scheme_str() == Some("https") {
            let make = || async {
                let builder = HttpsConnectorBuilder::new().with_tls_config(self.trust().await?);
                let connector = builder.https_or_http().enable_http1().enable_http2();
                Ok(client(connector.wrap_connector(QuickAckConnector::new(Resolver::anywhere()))))
            };
            return self.secure.get_or_try_init(make).await.cloned();
        }
        let make = || async {
            let tls = trusting_nobody()?;
            let builder = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1();
            Ok(client(builder.wrap_connector(QuickAckConnector::new(Resolver::anywhere()))))
        };
        self.plain.get_or_try_init(make).await.cloned()
    }

    /// A client for `url`, which a server named: it connects to nothing that lies further inside than `reach`.
    /// Fails when the system's root certificates cannot be read.
    pub async fn bounded(&self, reach: Reach, url: &Uri) -> io::Result<HttpClient> {
        let secure = url.scheme_str() == Some("https");
        let make = || async {
            let tls = if secure { self.trust().await? } else { trusting_nobody()? };
            let builder = HttpsConnectorBuilder::new().with_tls_config(tls);
            let connector = builder.https_or_http().enable_http1().enable_http2();
            Ok(client(connector.wrap_connector(QuickAckConnector::new(Resolver::within(reach)))))
        };
        self.bounded[reach as usize][usize::from(secure)].get_or_try_init(make).await.cloned()
    }

    async fn trust(&self) -> io::Result<rustls::ClientConfig> {
        let make = || async {
            let read = || {
                let provider = rustls::crypto::ring::default_provider();
                rustls::ClientConfig::builder_with_provider(provider.into())
                    .with_safe_default_protocol_versions()
                    .map_err(io::Error::other)?
                    .with_native_roots()
                    .map(|builder| builder.with_no_client_auth())
            };
            file::apart(read).await.map_err(io::Error::other)?
        };
        self.trust.get_or_try_init(make).await.cloned()
    }
}

/// For connections without TLS, which the connector wants a configuration for all the same.
fn trusting_nobody() -> io::Result<rustls::ClientConfig> {
    let provider = rustls::crypto::ring::default_provider();
    let builder = rustls::ClientConfig::builder_with_provider(provider.into())
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?;
    Ok(builder.with_root_certificates(rustls::RootCertStore::empty()).with_no_client_auth())
}

fn client(connector: HttpsConnector<QuickAckConnector>) -> HttpClient {
    Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        // Without this a connection that a router silently forgot would take calls for a quarter of an hour.
        .timer(TokioTimer::new())
        .http2_keep_alive_interval(PING_INTERVAL)
        .http2_keep_alive_timeout(PING_TIMEOUT)
        .pool_idle_timeout(IDLE_TIMEOUT)
        .pool_max_idle_per_host(IDLE_PER_HOST)
        .build(connector)
}

/// Connects over TCP, into [`QuickAckStream`]s.
#[derive(Debug, Clone)]
pub struct QuickAckConnector(HttpConnector<Resolver>);

impl QuickAckConnector {
    fn new(resolver: Resolver) -> Self {
        let mut connector = HttpConnector::new_with_resolver(resolver);
        connector.enforce_http(false);
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
        connector.set_keepalive(Some(Duration::from_secs(30)));
        Self(connector)
    }
}

impl tower::Service<Uri> for QuickAckConnector {
    type Response = QuickAckStream;
    type Error = <HttpConnector<Resolver> as tower::Service<Uri>>::Error;
    type Future = futures_util::future::MapOk<
        <HttpConnector<Resolver> as tower::Service<Uri>>::Future,
        fn(TokioIo<TcpStream>) -> QuickAckStream,
    >;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        use futures_util::TryFutureExt as _;
        self.0.call(uri).map_ok(QuickAckStream)
    }
}

/// A TCP stream whose peer is never left waiting for an acknowledgement.
#[derive(Debug)]
pub struct QuickAckStream(TokioIo<TcpStream>);

impl Read for QuickAckStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.0).poll_read(context, buffer);
        if matches!(polled, Poll::Ready(Ok(()))) {
            // The kernel falls back to delayed acknowledgements by itself, hence after every read. Where
            // the option does not exist the stream works all the same, only slower.
            let _option_is_missing = rustix::net::sockopt::set_tcp_quickack(self.0.inner(), true);
        }
        polled
    }
}

impl Write for QuickAckStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(context, slices)
    }
}

impl Connection for QuickAckStream {
    fn connected(&self) -> Connected {
        self.0.connected()
    }
}
