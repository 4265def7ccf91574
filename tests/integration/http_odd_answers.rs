//! What HTTP servers say in place of answers: refusals in their own words, pages, redirects, and what answers nothing.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::fake_http::{Came, FakeHttp, Says, plain, result};
use crate::support::mcp::Session;
use crate::support::servers::{Running, script};
use crate::support::{Gateway, free_port};

/// What a server answers to one kind of message.
type Answer = fn(&Came) -> Says;

/// A server that answers everything with the same.
async fn always(says: Says) -> FakeHttp {
    FakeHttp::start(move |_| Some(says.clone())).await
}

/// A gateway before servers that always say so; each comes back with the words that are wanted of its reason.
async fn before<'a>(
    kinds: impl IntoIterator<Item = (&'a str, Says, &'a str)>,
) -> (Gateway, Vec<(&'a str, FakeHttp, &'a str)>) {
    let mut servers = serde_json::Map::new();
    let mut running = Vec::new();
    for (name, says, words) in kinds {
        let server = always(says).await;
        servers.insert(name.to_owned(), server.entry());
        running.push((name, server, words));
    }
    (Gateway::serving(Value::Object(servers)).start().await, running)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_mcp_server_is_told_at_once() {
    let kinds = [
        (
            "envelope",
            Says::json(200, &json!({ "Output": { "Message": "ok" } })),
            "JSON that answers no request",
        ),
        (
            "html",
            Says::new(200, "text/html; charset=utf-8", "<!doctype html><title>My App</title>"),
            "an HTML page: My App",
        ),
        ("text", Says::new(200, "text/plain", "MCP endpoint."), "text/plain: MCP endpoint."),
        ("broken", Says::new(200, "application/json", "{\"n\": NaN}"), "its answer is no JSON: {"),
        ("empty", Says::new(200, "", ""), "status 200 and an empty body"),
        ("s202", Says::new(202, "", ""), "status 202 and an empty body"),
        ("s204", Says::new(204, "", ""), "status 204 and an empty body"),
        ("s402", Says::json(402, &json!({ "error": "payment required" })), "402: payment required"),
        ("s530", Says::new(530, "text/plain", "error code: 1033"), "error code: 1033"),
    ];
    let (gateway, running) = before(kinds).await;
    for (name, _server, words) in &running {
        let state = gateway.in_state(name, "unavailable").await;
        assert!(state["reason"].to_string().contains(words), "{name}: {state}");
    }
    assert!(gateway.started.elapsed() < Duration::from_secs(30), "nothing was waited for");
}

#[tokio::test]
async fn an_answer_that_is_no_json_fails_its_own_call_at_once_and_is_shown_to_its_caller() {
    let path = script("http_server.py");
    let (mut running, mut entries) = (Vec::new(), serde_json::Map::new());
    for (name, option, transport) in [
        ("body", "", "streamable-http"),
        ("events", "--events", "streamable-http"),
        ("legacy", "--sse", "sse"),
    ] {
        let port = free_port();
        let number = port.to_string();
        let mut command = vec!["python3", path.to_str().unwrap(), "--port", &number];
        command.extend((!option.is_empty()).then_some(option));
        running.push(Running::on_port(&command, &[], port).await);
        let url = format!("http://127.0.0.1:{port}/mcp");
        entries.insert(name.to_owned(), json!({ "type": transport, "url": url }));
    }
    let names: Vec<_> = entries.keys().cloned().collect();
    let gateway = Gateway::serving(Value::Object(entries)).start().await;
    for name in &names {
        gateway.ready(&[name]).await;
        let session = Session::open(&gateway, &format!("/{name}/mcp")).await;
        for value in ["NaN", "tight NaN"] {
            let (began, arguments) = (Instant::now(), json!({ "value": value }));
            let answer = gateway.post(&format!("/{name}/echo"), &arguments).await;
            let call = json!({ "name": "echo", "arguments": arguments });
            let told = session.answer("tools/call", &call).await;
            let function = json!({ "name": format!("{name}_echo"), "arguments": arguments.to_string() });
            let read = json!([{ "id": "1", "type": "function", "function": function }]);
            let read = gateway.post("/v1/tools/call", &read).await;
            assert!(began.elapsed() < Duration::from_secs(20), "{name}: {:?}", began.elapsed());
            assert_eq!(answer.status, 502, "{name}, {value}: {}", answer.text());
            assert_eq!((told.status, read.status), (200, 200), "{name}, {value}");
            for answer in [answer, told, read] {
                let text = answer.text();
                let is_told = text.contains("its answer is no JSON: {") && text.contains("NaN");
                assert!(is_told, "{name}, {value}: {text}");
            }
        }
        let fine = gateway.post(&format!("/{name}/echo"), &json!({ "value": 1 })).await.ok();
        assert_eq!(fine, json!({ "value": 1 }), "{name}: the connection goes on");
    }
    gateway.logged("its answer is no JSON").await;
    assert!(!gateway.log().contains("NaN"), "what a server answers is for its caller: {}", gateway.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_greeting_that_is_no_json_is_told_while_its_stream_stays_open() {
    let server = FakeHttp::start(|came| {
        let id = (came.asks() == "initialize").then(|| &came.message["id"])?;
        let event = format!("data: {{\"jsonrpc\": \"2.0\", \"id\": {id}, \"result\": {{\"n\": NaN}}}}\n\n");
        Some(Says::new(200, "text/event-stream", event).with("Content-Length", "9999"))
    })
    .await;
    let gateway = Gateway::serving(json!({ "s": server.entry() })).start().await;
    let state = gateway.in_state("s", "unavailable").await;
    let reason = state["reason"].as_str().unwrap();
    assert!(
        reason.contains("`initialize` failed") && reason.contains("its answer is no JSON: {"),
        "{reason}"
    );
    assert!(gateway.started.elapsed() < Duration::from_secs(20), "{:?}", gateway.started.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_byte_order_mark_before_an_answer_is_passed_over() {
    let server = FakeHttp::start(|came| {
        let answer = result(&came.message)?;
        Some(Says::new(200, "application/json", format!("\u{feff}{answer}")))
    })
    .await;
    let gateway = Gateway::serving(json!({ "s": server.entry() })).start().await;
    gateway.ready(&["s"]).await;
    assert_eq!(gateway.post("/s/fine", &json!({})).await.ok(), "done");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_names_its_target_without_secrets() {
    let to = |status: u16, target: &str| Says::new(status, "", "").with("Location", target);
    let kinds = [
        ("moved", to(301, "/mcp/?key=hunter22"), "/mcp/"),
        ("login", to(302, "/login?next=hunter22"), "/login"),
        ("tls", to(301, "https://other.test/mcp"), "https://other.test/mcp"),
        ("other", to(307, "http://user:hunter22@other.test:81/x"), "http://other.test:81/x"),
        ("circle", to(307, "/mcp"), "redirects in circles"),
        ("nowhere", Says::new(302, "", ""), "names no target"),
    ];
    let (gateway, running) = before(kinds).await;
    for (name, _server, words) in &running {
        let reason = gateway.in_state(name, "unavailable").await["reason"].to_string();
        assert!(reason.contains(words) && reason.contains("redirect"), "{name}: {reason}");
        assert!(!reason.contains("hunter22"), "{name}: {reason}");
    }
}

/// A server whose tool `t` answers so.
async fn refusing(says: Says) -> FakeHttp {
    FakeHttp::start(move |came| match came.asks() {
        "initialize" => Some(plain(came).with("Mcp-Session-Id", "one")),
        "tools/call" if came.message["params"]["name"] == "t" => Some(says.clone()),
        _ => None,
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_words_of_a_refusal_reach_caller_and_log_without_our_secrets() {
    let rpc =
        json!({ "jsonrpc": "2.0", "id": null, "error": { "code": -32000, "message": "quota is used up" } });
    for (says, words) in [
        (Says::json(400, &rpc), "quota is used up"),
        (Says::json(500, &rpc), "quota is used up"),
        (Says::json(403, &json!({ "error": "your trial has ended" })), "your trial has ended"),
        (Says::new(503, "text/plain", "maintenance\u{1b}[31m until 14:00"), "until 14:00"),
        (Says::new(401, "text/plain", "no such token: hunter22hunter22"), "no such token: ***"),
    ] {
        let (status, server) = (says.status, refusing(says).await);
        let mut entry = server.entry();
        entry["headers"] = json!({ "Authorization": "Bearer hunter22hunter22" });
        let gateway = Gateway::serving(json!({ "s": entry })).start().await;
        gateway.ready(&["s"]).await;
        let call = gateway.post("/s/t", &json!({})).await;
        assert_eq!(call.status, 502);
        assert!(call.text().contains(words) && call.text().contains(&status.to_string()), "{}", call.text());
        let session = Session::open(&gateway, "/s/mcp").await;
        let told = session.call("t", &json!({})).await;
        assert!(told.to_string().contains(words), "{told}");
        gateway.logged(words).await;
        assert!(
            !gateway.log().contains("hunter22") && !gateway.log().contains('\u{1b}'),
            "{}",
            gateway.log()
        );
        assert_eq!(gateway.post("/s/fine", &json!({})).await.ok(), "done");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_requests_stay_that_for_the_caller() {
    let says = Says::json(429, &json!({ "error": "60 a minute" })).with("Retry-After", "7");
    let server = refusing(says).await;
    let gateway = Gateway::serving(json!({ "s": server.entry() })).start().await;
    gateway.ready(&["s"]).await;
    let call = gateway.post("/s/t", &json!({})).await;
    assert_eq!((call.status, call.header("retry-after")), (429, Some("7")), "{}", call.text());
    assert!(call.text().contains("60 a minute") && call.text().contains("7 s"), "{}", call.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_fails_on_the_question_for_its_era_is_spoken_to_as_one_with_sessions() {
    let at_discover: [(&str, Answer); 6] = [
        ("s400", |_| Says::new(400, "text/plain", "bad")),
        ("s401", |_| Says::new(401, "text/plain", "Unauthorized: Session ID is required")),
        ("s403", |_| Says::new(403, "text/plain", "no session")),
        ("s500", |_| Says::new(500, "text/plain", "boom")),
        ("html", |_| Says::new(200, "text/html", "<html>")),
        ("gone", |_| Says {
            closes: true,
            ..Says::new(200, "application/json", "{").with("Content-Length", "9")
        }),
    ];
    let mut servers = serde_json::Map::new();
    let mut running = Vec::new();
    for (name, says) in at_discover {
        let server =
            FakeHttp::start(move |came| (came.asks() == "server/discover").then(|| says(came))).await;
        servers.insert(name.to_owned(), server.entry());
        running.push((name, server));
    }
    let gateway = Gateway::serving(Value::Object(servers)).start().await;
    for (name, server) in &running {
        gateway.ready(&[name]).await;
        assert_eq!((server.times("server/discover"), server.times("initialize")), (1, 1), "{name}");
    }
    assert!(!gateway.log().contains("unavailable"), "each at its first try: {}", gateway.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_in_an_array_and_refused_notices_do_no_harm() {
    let server = FakeHttp::start(|came| match (came.asks(), result(&came.message)) {
        (_, Some(answer)) => Some(Says::json(200, &json!([answer]))),
        ("notifications/initialized", None) => Some(Says::new(501, "text/plain", "not implemented")),
        _ => None,
    })
    .await;
    let began = Instant::now();
    let gateway = Gateway::serving(json!({ "s": server.entry() })).start().await;
    gateway.ready(&["s"]).await;
    assert_eq!(gateway.post("/s/fine", &json!({})).await.ok(), "done");
    gateway.logged("refuses `notifications/initialized`").await;
    assert!(began.elapsed() < Duration::from_secs(30));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_announces_a_change_with_each_list_is_asked_more_and_more_slowly() {
    let server = FakeHttp::start(|came| {
        let answer = result(&came.message).filter(|_| came.asks() == "tools/list")?;
        let notice = json!({ "jsonrpc": "2.0", "method": "notifications/tools/list_changed" });
        Some(Says::new(200, "text/event-stream", format!("data: {notice}\n\ndata: {answer}\n\n")))
    })
    .await;
    let gateway = Gateway::serving(json!({ "s": server.entry() })).start().await;
    gateway.ready(&["s"]).await;
    // The rate itself is what is tested.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let lists = server.times("tools/list");
    assert!((4..15).contains(&lists), "{lists} lists in 3 s");
    assert_eq!(gateway.post("/s/fine", &json!({})).await.ok(), "done");
}
