//! The edge on real sockets: connections that are slow, many, encrypted, or cut, and the docs page.

#![expect(clippy::unwrap_used, reason = "a fixture that fails fails its test")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use bytes::Bytes;
use http::{HeaderMap, header};
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::{TokioExecutor, TokioIo};
use mcpo::config::{ApiKeyConfig, AuthConfig, LimitsConfig, ListenConfig, SecretText, TlsConfig};
use mcpo::http::{Access, BodyBudget, Keys, ServeOptions, read_body};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;

use support::{Running, answer_of, options, read_answer};

const GET: &str = "GET /ok HTTP/1.1\r\nHost: localhost\r\n\r\n";

fn simple() -> Router {
    Router::new().route("/ok", get(|| async { "fine" }))
}

/// What `/slow` tells the test, and what the test tells it.
#[derive(Default)]
struct Slow {
    entered: Notify,
    go_on: Notify,
    dropped: Arc<Notify>,
}

struct TellsWhenDropped(Arc<Notify>);

impl Drop for TellsWhenDropped {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

fn slow() -> (Router, Arc<Slow>) {
    async fn handler(State(slow): State<Arc<Slow>>) -> &'static str {
        let _drop = TellsWhenDropped(Arc::clone(&slow.dropped));
        slow.entered.notify_one();
        slow.go_on.notified().await;
        "done"
    }
    let slow = Arc::new(Slow::default());
    let waiting = Router::new().route("/slow", get(handler)).with_state(Arc::clone(&slow));
    (simple().merge(waiting), slow)
}

#[tokio::test]
async fn a_kept_connection_serves_many_requests() {
    let running = Running::start(simple(), options()).await;
    let mut stream = running.connect().await;
    for _ in 0..3 {
        stream.write_all(GET.as_bytes()).await.unwrap();
        let answer = read_answer(&mut stream, "fine").await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
    running.stop().await;
}

#[tokio::test]
async fn a_client_that_never_finishes_its_head_is_cut() {
    let limit = ServeOptions { header_timeout: Duration::from_millis(100), ..options() };
    let running = Running::start(simple(), limit).await;
    for head in ["", "G", "GET /ok HTTP/1.1\r\nHost: local"] {
        let mut stream = running.connect().await;
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).await.unwrap();
        assert!(rest.is_empty(), "{head}");
    }
    let answer = answer_of(&mut running.connect().await, GET, "fine").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    running.stop().await;
}

#[tokio::test]
async fn connections_over_the_cap_wait_their_turn() {
    let running = Running::start(simple(), ServeOptions { connections: 2, ..options() }).await;
    let mut first = running.connect().await;
    let mut second = running.connect().await;
    answer_of(&mut first, GET, "fine").await;
    answer_of(&mut second, GET, "fine").await;
    let mut third = running.connect().await;
    third.write_all(GET.as_bytes()).await.unwrap();
    let mut byte = [0];
    let early = tokio::time::timeout(Duration::from_millis(100), third.peek(&mut byte)).await;
    assert!(early.is_err(), "the third connection was served beside the two");
    drop(first);
    assert!(read_answer(&mut third, "fine").await.starts_with("HTTP/1.1 200"));
    running.stop().await;
}

#[tokio::test]
async fn a_request_in_flight_is_drained_and_the_port_is_closed_at_once() {
    let (router, slow) = slow();
    let running = Running::start(router, options()).await;
    let mut idle = running.connect().await;
    answer_of(&mut idle, GET, "fine").await;
    let unused = running.connect().await;
    let mut stream = running.connect().await;
    stream.write_all(GET.replace("/ok", "/slow").as_bytes()).await.unwrap();
    slow.entered.notified().await;
    running.shutdown.request();
    // Idle connections end at once, and with them the port is seen closed.
    assert_eq!(idle.read(&mut [0; 1]).await.unwrap(), 0);
    assert!(TcpStream::connect(running.address).await.is_err());
    slow.go_on.notify_one();
    assert!(read_answer(&mut stream, "done").await.starts_with("HTTP/1.1 200"));
    running.stop().await;
    drop(unused);
}

#[tokio::test]
async fn a_connection_that_was_taken_just_before_the_end_gets_its_answer() {
    let running = Running::start(simple(), options()).await;
    let mut asked = running.connect().await;
    answer_of(&mut asked, GET, "fine").await;
    let mut late = running.connect().await;
    let silent = running.connect().await;
    // Taken up in order: once the last one is served, all were.
    answer_of(&mut running.connect().await, GET, "fine").await;
    running.shutdown.request();
    assert_eq!(asked.read(&mut [0; 1]).await.unwrap(), 0);
    assert!(answer_of(&mut late, GET, "fine").await.starts_with("HTTP/1.1 200"));
    assert_eq!(late.read(&mut [0; 1]).await.unwrap(), 0, "it is closed after that");
    running.stop().await;
    drop(silent);
}

#[tokio::test]
async fn a_request_that_outlives_the_drain_is_cut() {
    for cut_short in [false, true] {
        let (router, slow) = slow();
        let drain = if cut_short { Duration::from_secs(3600) } else { Duration::from_millis(50) };
        let running = Running::start(router, ServeOptions { drain, ..options() }).await;
        let mut stream = running.connect().await;
        stream.write_all(GET.replace("/ok", "/slow").as_bytes()).await.unwrap();
        slow.entered.notified().await;
        running.shutdown.request();
        if cut_short {
            running.shutdown.cut_short();
        }
        running.stop().await;
        slow.dropped.notified().await;
        assert_eq!(stream.read(&mut [0; 1]).await.unwrap_or(0), 0);
    }
}

#[tokio::test]
async fn a_client_that_leaves_cancels_its_request() {
    let (router, slow) = slow();
    let running = Running::start(router, options()).await;
    let mut stream = running.connect().await;
    stream.write_all(GET.replace("/ok", "/slow").as_bytes()).await.unwrap();
    slow.entered.notified().await;
    drop(stream);
    slow.dropped.notified().await;
    running.stop().await;
}

#[tokio::test]
async fn a_key_is_asked_for_before_the_body_is_read() {
    async fn guarded(State(keys): State<Arc<Keys>>, request: axum::extract::Request) -> Response {
        let (parts, body): (_, Body) = request.into_parts();
        if let Err(refusal) = keys.admit(&parts.headers, Access::Call).await {
            return refusal.into_response();
        }
        let limits = LimitsConfig { body_bytes: 5, ..LimitsConfig::default() };
        match read_body(body, &limits, &BodyBudget::new(&limits)).await {
            Ok((body, _share)) => body.into_response(),
            Err(error) => error.into_response(),
        }
    }
    let key = ApiKeyConfig::new("one", SecretText::literal("s3cr3t"));
    let auth = AuthConfig { keys: vec![key], ..AuthConfig::default() };
    let keys = Keys::new(&auth, None, &Arc::default()).unwrap();
    let router = Router::new().route("/call", post(guarded)).with_state(Arc::new(keys));
    let running = Running::start(router, options()).await;
    let call = |headers: &str| format!("POST /call HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n");
    // The announced body never comes: whoever waits for it never answers.
    let unread = call("Content-Length: 4\r\n");
    let answer = answer_of(&mut running.connect().await, &unread, "header\"}").await;
    assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
    assert!(answer.contains("www-authenticate: Bearer\r\n"), "{answer}");
    let large = call("Authorization: Bearer s3cr3t\r\nContent-Length: 6\r\n");
    let answer = answer_of(&mut running.connect().await, &large, "limit\"}").await;
    assert!(answer.starts_with("HTTP/1.1 413") && answer.contains("5 bytes"), "{answer}");
    let good = call("Authorization: Bearer s3cr3t\r\nContent-Length: 4\r\n") + "body";
    let answer = answer_of(&mut running.connect().await, &good, "body").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    running.stop().await;
}

async fn http2_get(
    stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin + 'static,
    uri: &str,
) -> (u16, Bytes) {
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    let connection = tokio::spawn(connection);
    let request = http::Request::get(uri).body(Empty::<Bytes>::new()).unwrap();
    let response = sender.send_request(request).await.unwrap();
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    drop(sender);
    connection.await.unwrap().unwrap();
    (status, body)
}

#[tokio::test]
async fn http2_is_served_on_the_same_port() {
    let host = |headers: HeaderMap| async move { headers[header::HOST].to_str().unwrap().to_owned() };
    let running = Running::start(simple().route("/host", get(host)), options()).await;
    let (status, body) = http2_get(running.connect().await, "http://localhost/ok").await;
    assert_eq!((status, body), (200, Bytes::from_static(b"fine")));
    let (_, body) = http2_get(running.connect().await, "http://localhost:81/host").await;
    assert_eq!(body, "localhost:81", "handlers find the host where HTTP/1.1 has it");
    let (status, _) = http2_get(running.connect().await, "http://evil.example/ok").await;
    assert_eq!(status, 421);
    running.stop().await;
}

fn tls_files() -> TlsConfig {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/integration/edge");
    TlsConfig { certificate: folder.join("certificate.pem"), key: folder.join("key.pem") }
}

#[tokio::test]
async fn tls_is_spoken_with_both_versions_and_a_silent_client_is_cut() {
    let listen = ListenConfig { tls: Some(tls_files()), ..support::listen() };
    let limit = ServeOptions { header_timeout: Duration::from_secs(2), ..options() };
    let running = Running::start_on(simple(), &listen, limit).await;
    let mut stream = support::tls(&running, &tls_files().certificate, &[b"http/1.1"]).await;
    let answer = answer_of(&mut stream, GET, "fine").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let stream = support::tls(&running, &tls_files().certificate, &[b"h2"]).await;
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    assert_eq!(http2_get(stream, "https://localhost/ok").await.0, 200);
    assert_eq!(running.connect().await.read(&mut [0; 1]).await.unwrap(), 0, "no handshake came");
    running.stop().await;
}

#[tokio::test]
async fn a_browser_executes_a_call_from_the_docs_page() {
    if !crate::support::provisioned::browser() {
        return;
    }
    let running = Running::start(support::docs(), options()).await;
    for (path, operation, document) in [
        ("/docs", "echo_say", None),
        ("/docs", "tool_say_post", Some("echo")),
        ("/echo/docs", "tool_say_post", None),
        ("/docs/", "echo_say", None),
        ("/echo/redoc", "tool_say_post", None),
    ] {
        let mut command = tokio::process::Command::new("python3");
        command
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/browser/swagger.py"))
            .args([&format!("http://{}", running.address), path, operation, "--key", "s3cr3t"])
            .args(["--body", r#"{"text":"hello browser"}"#, "--expect", "hello browser"]);
        if let Some(document) = document {
            command.args(["--document", document]);
        }
        let output = command.output().await.unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{path} {operation}: {errors}");
    }
    running.stop().await;
}
