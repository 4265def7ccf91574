//! Any bytes as MCP messages: of a server over its pipe, and of a client to the MCP endpoint of a whole gateway.
//!
//! The first byte chooses: 0 a server's stream, 1 a client in a session, 2 one of the stateless era, 3 one that says
//! nothing of the protocol.

#![no_main]

use std::sync::LazyLock;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::Full;
use libfuzzer_sys::fuzz_target;
use mcpo::app::in_process::InProcessGateway;
use mcpo::config::{Config, Sources};
use mcpo::upstream::transport::frames::{Frame, Frames};
use mcpo::upstream::message::{Sorted, sort};
use serde_json::Value;
use serde_json::value::RawValue;
use tokio::runtime::Runtime;

/// Of a server's message, in bytes; small, so that the fuzzer finds the way beyond it.
const LIMIT: usize = 600;

struct Client {
    runtime: Runtime,
    gateway: InProcessGateway,
    session: String,
}

static CLIENT: LazyLock<Client> = LazyLock::new(|| {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.expect("a runtime can be started");
    let started = InProcessGateway::start(Config::default(), Sources::default(), None);
    let gateway = runtime.block_on(started).expect("the gateway starts");
    let first = br#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"fuzz","version":"0"}}}"#;
    let opened = ask(&runtime, &gateway, first, &[]).expect("a session is opened at once");
    let session = opened.headers()["mcp-session-id"].to_str().expect("an id is text").to_owned();
    Client { runtime, gateway, session }
});

fuzz_target!(|input: &[u8]| {
    let Some((which, bytes)) = input.split_first() else { return };
    let client = &*CLIENT;
    let headers: &[(&str, &str)] = match which % 4 {
        0 => return of_a_server(bytes),
        1 => &[("mcp-session-id", &client.session), ("mcp-protocol-version", "2025-11-25")],
        2 => &[("mcp-protocol-version", "2026-07-28")],
        _ => &[],
    };
    let Some(answer) = ask(&client.runtime, &client.gateway, bytes, headers) else { return };
    let status = answer.status().as_u16();
    assert!(status < 500, "{status} {answer:?}");
    let json = |headers: &HeaderMap| {
        headers.get("content-type").is_some_and(|kind| kind.as_bytes() == b"application/json")
    };
    if json(answer.headers()) {
        let body: Value = serde_json::from_slice(answer.body()).expect("what is declared as JSON is JSON");
        assert!(body.is_object(), "{body}");
    }
});

/// `None` when the answer is a stream that does not end.
fn ask(
    runtime: &Runtime,
    gateway: &InProcessGateway,
    body: &[u8],
    headers: &[(&str, &str)],
) -> Option<Response<Bytes>> {
    let mut request = Request::post("/mcp")
        .header("content-type", "application/json")
        .header("accept", "application/json, text/event-stream");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    // The stateless era has the method and the name in headers, too, and refuses a request where they differ.
    let body_value: Option<Value> = serde_json::from_slice(body).ok();
    for (header, pointer) in [("mcp-method", "/method"), ("mcp-name", "/params/name")] {
        let text = body_value.as_ref().and_then(|value| value.pointer(pointer)).and_then(Value::as_str);
        if let Some(text) = text.filter(|text| http::HeaderValue::from_str(text).is_ok()) {
            request = request.header(header, text);
        }
    }
    let request = request.body(Full::new(Bytes::copy_from_slice(body))).expect("the request is well formed");
    let answer = async { tokio::time::timeout(Duration::from_millis(200), gateway.answer(request)).await };
    let answer = runtime.block_on(answer).ok()?;
    Some(answer.expect("the answer is whole"))
}

/// In pieces, as reads bring them; what is found must not depend on where they end.
fn of_a_server(bytes: &[u8]) {
    let mut frames = Frames::new(LIMIT);
    for piece in bytes.chunks(97) {
        frames.space().extend_from_slice(piece);
        while let Some(frame) = frames.next_frame() {
            match frame {
                Frame::OverBudget { .. } => unreachable!("no line is given up here"),
                Frame::TooLong { ids, limit } => assert!(ids.len() <= 2 && limit == LIMIT),
                Frame::Message(message) => {
                    assert!(message.len() <= LIMIT && !message.contains(&b'\n'));
                    match sort(&message) {
                        Sorted::Result { range, .. } => {
                            let _not_validated_yet = serde_json::from_slice::<&RawValue>(&message[range]);
                        }
                        Sorted::Error { .. }
                        | Sorted::Progress { .. }
                        | Sorted::ExitNotice(_)
                        | Sorted::Echo { .. }
                        | Sorted::NotJson
                        | Sorted::Other => {}
                    }
                }
            }
        }
        assert!(frames.space().len() <= LIMIT + 97, "a line over the limit is kept");
    }
}
