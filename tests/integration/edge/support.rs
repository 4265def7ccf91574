//! A running edge for the tests beside it, and raw clients of it.

#![expect(clippy::unwrap_used, reason = "a fixture that fails fails its test")]

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use axum::Router;
use axum::extract::Path as Segment;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use mcpo::config::{ListenConfig, TlsConfig};
use mcpo::http::answer::redirect;
use mcpo::http::{Edge, Listener, ServeOptions, Served, json_answer, serve};
use mcpo::rest::swagger::{self, DocumentLink};
use mcpo::shutdown::Shutdown;
use mcpo::systemd::liveness::liveness;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_rustls::client::TlsStream;
use tokio_util::sync::CancellationToken;

/// An edge that serves until it is stopped.
pub struct Running {
    pub address: SocketAddr,
    pub shutdown: Shutdown,
    serving: JoinHandle<()>,
}

impl Running {
    pub async fn start(router: Router, options: ServeOptions) -> Self {
        Self::start_on(router, &listen(), options).await
    }

    pub async fn start_on(router: Router, listen: &ListenConfig, options: ServeOptions) -> Self {
        let listener = Listener::bind(listen).await.unwrap();
        let address = listener.tcp_addresses()[0];
        let edge = Edge::new(router, listen, true).unwrap();
        let ended = CancellationToken::new().drop_guard();
        let served = Arc::new(ArcSwap::from_pointee(Served { edge, options, ended }));
        let shutdown = Shutdown::new();
        let (_probe, responder) = liveness();
        let serving = tokio::spawn(serve(listener, served, shutdown.clone(), responder));
        Self { address, shutdown, serving }
    }

    pub async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Asks it to end, and returns when every connection has.
    pub async fn stop(self) {
        self.shutdown.request();
        self.serving.await.unwrap();
    }
}

/// Loopback, and any free port.
pub fn listen() -> ListenConfig {
    ListenConfig { port: 0, tls: None::<TlsConfig>, ..ListenConfig::default() }
}

pub fn options() -> ServeOptions {
    let long = Duration::from_secs(30);
    ServeOptions { connections: 100, header_timeout: long, idle_timeout: long, drain: long }
}

/// Sends `request` and reads until the answer ends in `end`.
pub async fn answer_of(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    request: &str,
    end: &str,
) -> String {
    stream.write_all(request.as_bytes()).await.unwrap();
    read_answer(stream, end).await
}

/// Reads until the answer ends in `end`, or the connection ends.
pub async fn read_answer(stream: &mut (impl AsyncRead + Unpin), end: &str) -> String {
    let mut answer = Vec::new();
    let mut piece = [0; 4096];
    while !answer.ends_with(end.as_bytes()) {
        match stream.read(&mut piece).await.unwrap() {
            0 => break,
            length => answer.extend_from_slice(&piece[..length]),
        }
    }
    String::from_utf8(answer).unwrap()
}

/// A TLS connection that trusts `certificate` and offers `protocols`.
pub async fn tls(running: &Running, certificate: &Path, protocols: &[&[u8]]) -> TlsStream<TcpStream> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(certificate).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut client = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    client.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    let name = ServerName::try_from("localhost").unwrap();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(client));
    connector.connect(name, running.connect().await).await.unwrap()
}

fn document(prefix: &str, operation: &str) -> Response {
    let document = serde_json::json!({
        "openapi": "3.1.0",
        "info": {"title": "Echo", "version": "1"},
        "servers": [{"url": prefix}],
        "paths": {"/say": {"post": {
            "summary": "Say",
            "operationId": operation,
            "security": [{"HTTPBearer": []}],
            "requestBody": {"required": true, "content": {"application/json": {"schema": {
                "type": "object",
                "properties": {"text": {"type": "string", "default": "hello"}},
                "required": ["text"]
            }}}},
            "responses": {"200": {"description": "What was said"}}
        }}},
        "components": {"securitySchemes": {"HTTPBearer": {"type": "http", "scheme": "bearer"}}}
    });
    json_answer(StatusCode::OK, Bytes::from(document.to_string()))
}

/// Docs pages of a gateway with one server, `echo`, whose tool `say` wants the key `s3cr3t`.
pub fn docs() -> Router {
    async fn say(headers: HeaderMap, body: Bytes) -> Response {
        match headers.get("authorization") {
            Some(key) if key == "Bearer s3cr3t" => json_answer(StatusCode::OK, body),
            _ => StatusCode::UNAUTHORIZED.into_response(),
        }
    }
    let all = [
        DocumentLink { name: "All servers", url: "openapi.json" },
        DocumentLink { name: "echo", url: "echo/openapi.json" },
    ];
    let one = [DocumentLink { name: "echo", url: "openapi.json" }];
    Router::new()
        .route("/openapi.json", get(|| async { document("/echo", "echo_say") }))
        .route("/echo/openapi.json", get(|| async { document("/echo", "tool_say_post") }))
        .route("/echo/say", post(say))
        .route("/docs", get(|headers: HeaderMap| async move { swagger::page("Gateway", "", &headers) }))
        .route("/echo/docs", get(|headers: HeaderMap| async move { swagger::page("echo", "../", &headers) }))
        .route("/docs/", get(|| async { redirect(StatusCode::TEMPORARY_REDIRECT, "../docs") }))
        .route("/echo/redoc", get(|| async { redirect(StatusCode::TEMPORARY_REDIRECT, "docs") }))
        .route(
            "/docs/swagger-initializer.js",
            get(move |headers: HeaderMap| async move { swagger::initializer(&all, None, &headers) }),
        )
        .route(
            "/echo/docs/swagger-initializer.js",
            get(move |headers: HeaderMap| async move { swagger::initializer(&one, None, &headers) }),
        )
        .route(
            "/assets/swagger/{file}",
            get(|Segment(file): Segment<String>, headers: HeaderMap| async move {
                swagger::asset(&file, &headers)
            }),
        )
}
