//! A TCP connector whose streams acknowledge at once what they receive.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::upstream::http_client::resolver::Resolver;

/// How long a TCP connection to a server may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Connects over TCP, into [`QuickAckStream`]s.
#[derive(Debug, Clone)]
pub struct QuickAckConnector(HttpConnector<Resolver>);

impl QuickAckConnector {
    pub(super) fn new(resolver: Resolver) -> Self {
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
        self.0.call(uri).map_ok(|stream| QuickAckStream { stream, is_of_a_proxy: false })
    }
}

/// A TCP stream that acknowledges each read at once.
#[derive(Debug)]
pub struct QuickAckStream {
    stream: TokioIo<TcpStream>,
    /// Requests name the server, since what reads them is a proxy.
    is_of_a_proxy: bool,
}

impl QuickAckStream {
    pub(super) fn of_a_proxy(self) -> Self {
        Self { is_of_a_proxy: true, ..self }
    }
}

impl Read for QuickAckStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_read(context, buffer);
        if matches!(polled, Poll::Ready(Ok(()))) {
            // The kernel falls back to delayed acknowledgements, hence after every read. Without the option the
            // stream works, only slower.
            let _option_is_missing = rustix::net::sockopt::set_tcp_quickack(self.stream.inner(), true);
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
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }
}

impl Connection for QuickAckStream {
    fn connected(&self) -> Connected {
        self.stream.connected().proxy(self.is_of_a_proxy)
    }
}
