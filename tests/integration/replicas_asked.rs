//! A client without a session answers a server's question at another replica than the one that asked it.

use std::process::Stdio;

use bytes::Bytes;
use http::{Request, Version};
use http_body_util::{BodyExt as _, Full};
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tokio::process::Command;

use crate::support::mcp::{Events, request, stateless_able, with_meta};
use crate::support::replicas::{Balancer, REPLICAS, Replica, started};
use crate::support::tls::{fixture, trusting};
use crate::support::{Answer, Ask, Gateway, provisioned, servers};

const KEY: &str = "key-of-a-client-that-is-asked";
const OTHER_KEY: &str = "key-of-another-client";

fn config() -> Value {
    json!({
        "mcpServers": { "s": servers::entry("offering_server.py", &["--tells"]) },
        "apiKey": KEY,
        "apiKeys": { "other": { "key": OTHER_KEY } },
    })
}

fn able() -> Value {
    json!({ "elicitation": { "form": {} } })
}

fn call(ask: Ask, key: &str, params: &Value) -> Ask {
    let ask = ask.header("Authorization", &format!("Bearer {key}"));
    stateless_able(ask, &able(), "tools/call", params).header("Mcp-Param-Message", "name?")
}

/// What the server asks in a call at this replica.
async fn asked(replica: &Replica, params: &Value) -> Value {
    let result = call(replica.ask("POST", "/mcp"), KEY, params).send().await.ok()["result"].clone();
    assert_eq!(result["resultType"], "input_required", "{result}");
    result
}

/// The params of the round that brings the answers.
fn answered(params: &Value, result: &Value) -> Value {
    let mut params = params.clone();
    params["requestState"] = result["requestState"].clone();
    for (key, _) in result["inputRequests"].as_object().unwrap() {
        params["inputResponses"][key] = json!({ "action": "accept", "content": { "name": "Ada" } });
    }
    params
}

fn params() -> Value {
    json!({ "name": "s_ask", "arguments": { "message": "name?" } })
}

/// Waits no more, and says what to do.
fn is_gone(answer: &Answer) {
    let error = &answer.json()["error"];
    assert_eq!((answer.status, &error["code"]), (400, &json!(-32602)), "{}", answer.text());
    assert!(error["message"].as_str().unwrap().contains("send the request"), "{error}");
}

#[tokio::test]
async fn the_answer_finds_its_request_and_events_come_back_as_they_happen() {
    let replicas = started(&[config(), config()]).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("go");
    let mut params = params();
    params["arguments"]["until"] = json!(file);
    params["_meta"] = json!({ "progressToken": "mine" });
    let result = asked(&replicas[0], &params).await;
    let params = with_meta(&answered(&params, &result), &able());
    let head = format!(
        "Authorization: Bearer {KEY}\r\nAccept: application/json, text/event-stream\r\nX-Request-Id: of-the-hop\r\n\
         MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: tools/call\r\nMcp-Name: s_ask\r\nMcp-Param-Message: name?\r\n"
    );
    let body = request("tools/call", &params).to_string();
    let mut answer = Events::open(replicas[1].running(), "POST", "/mcp", &head, &body).await;
    let told = answer.message("notifications/progress").await;
    assert_eq!(told["params"], json!({ "progressToken": "mine", "progress": 1 }));
    // The result does not exist before this.
    std::fs::write(&file, "").unwrap();
    let result = answer.message("").await["result"].clone();
    assert!(result["content"][0]["text"].as_str().unwrap().contains("accept"), "{}", answer.text);
    replicas[0].running().logged("s/ask ok").await;
    assert!(!replicas[1].running().log().contains("s/ask"));
}

#[tokio::test]
async fn the_caller_is_checked_where_the_request_waits_and_no_client_makes_a_hop() {
    let replicas = started(&[config(), config()]).await;
    let params = params();
    let result = asked(&replicas[0], &params).await;
    let again = answered(&params, &result);
    let at_second = || replicas[1].ask("POST", "/mcp");
    is_gone(&call(at_second(), OTHER_KEY, &again).send().await);
    assert_eq!(call(at_second(), "no key", &again).send().await.status, 403);
    // What a client says of a hop is not believed, and what is not sealed names no replica.
    let forged = call(at_second(), KEY, &again).header("Mcpo-Hop", "bmV2ZXI").send().await;
    assert_eq!((forged.status, forged.header("x-mcpo-error")), (421, Some("hop_misdirected")));
    let mut other = again.clone();
    let state = other["requestState"].as_str().unwrap().to_owned();
    other["requestState"] = format!("{}A{}", &state[..20], &state[21..]).into();
    let refused = call(at_second(), KEY, &other).send().await;
    assert_eq!(refused.status, 400, "{}", refused.text());
    // The request has waited all the while, and ends once.
    let answer = call(at_second(), KEY, &again).send().await.ok();
    assert!(answer["result"]["content"][0]["text"].as_str().unwrap().contains("accept"), "{answer}");
    is_gone(&call(at_second(), KEY, &again).send().await);
    is_gone(&call(replicas[0].ask("POST", "/mcp"), KEY, &again).send().await);
}

#[tokio::test]
async fn a_replica_that_is_gone_is_told_and_the_call_can_be_made_anew() {
    let mut replicas = started(&[config(), config()]).await;
    let params = params();
    let result = asked(&replicas[0], &params).await;
    replicas[0].running().signal(Signal::SIGKILL);
    replicas[0].gateway = None;
    let again = answered(&params, &result);
    is_gone(&call(replicas[1].ask("POST", "/mcp"), KEY, &again).send().await);
    replicas[1].running().logged("cannot be reached").await;
    // One that came back knows nothing of it.
    replicas[0].start().await;
    is_gone(&call(replicas[1].ask("POST", "/mcp"), KEY, &again).send().await);
    let anew = answered(&params, &asked(&replicas[1], &params).await);
    call(replicas[0].ask("POST", "/mcp"), KEY, &anew).send().await.ok();
}

#[tokio::test]
async fn an_address_that_leads_to_another_replica_goes_in_no_circle() {
    let mut configs = [config(), config(), config()];
    configs[0]["replica"]["name"] = "one".into();
    let mut each: Vec<Replica> = configs[1..].iter().map(Replica::new).collect();
    configs[0]["replica"]["url"] = format!("http://127.0.0.1:{}", each[0].port).into();
    each.push(Replica::new(&configs[0]));
    for replica in &mut each {
        replica.start().await;
    }
    let [wrong, other, one] = &each[..] else { unreachable!("there are three") };
    let result = asked(one, &params()).await;
    let again = answered(&params(), &result);
    for replica in [other, wrong] {
        is_gone(&call(replica.ask("POST", "/mcp"), KEY, &again).send().await);
    }
    other.running().logged("its `replica.url` leads to another one").await;
    let answer = call(one.ask("POST", "/mcp"), KEY, &again).send().await.ok();
    assert!(answer["result"]["content"][0]["text"].as_str().unwrap().contains("accept"), "{answer}");
}

/// The answer to a call over HTTP/2 and TLS from a page of the gateway: it names its host in `:authority` alone.
async fn called_over_http2(port: u16, params: &Value) -> Answer {
    let connector = HttpsConnectorBuilder::new().with_tls_config(trusting(&fixture("certificate.pem")));
    let connector = connector.https_only().enable_http2().build();
    let client = Client::builder(TokioExecutor::new()).http2_only(true).build(connector);
    let own = format!("https://127.0.0.1:{port}");
    let mut call = Request::post(format!("{own}/mcp")).header("Origin", &own);
    for (name, value) in [
        ("Accept", "application/json, text/event-stream"),
        ("Content-Type", "application/json"),
        ("MCP-Protocol-Version", "2026-07-28"),
        ("Mcp-Method", "tools/call"),
        ("Mcp-Name", "s_ask"),
        ("Mcp-Param-Message", "name?"),
    ] {
        call = call.header(name, value);
    }
    let body = request("tools/call", &with_meta(params, &able())).to_string();
    let (head, body) =
        client.request(call.body(Full::<Bytes>::from(body)).unwrap()).await.unwrap().into_parts();
    assert_eq!(head.version, Version::HTTP_2);
    let body = body.collect().await.unwrap().to_bytes();
    Answer { status: head.status.as_u16(), headers: head.headers, body }
}

#[tokio::test]
async fn a_replica_behind_tls_serves_the_host_that_the_client_named() {
    let (certificate, key) = (fixture("certificate.pem"), fixture("key.pem"));
    let config = json!({
        "mcpServers": { "s": servers::entry("offering_server.py", &["--tells"]) },
        "sessionKey": "the same at each replica: 0f4a9b6c2d8e",
        "tls": { "certificate": certificate, "key": key },
    });
    let start = || Gateway::with(config.clone()).environment("SSL_CERT_FILE", certificate.to_str().unwrap());
    let (one, two) = tokio::join!(start().start(), start().start());
    for replica in [&one, &two] {
        replica.logged("s is ready").await;
    }
    let asked = called_over_http2(one.address.port(), &params()).await.ok()["result"].clone();
    assert_eq!(asked["resultType"], "input_required", "{asked}");
    let answer = called_over_http2(two.address.port(), &answered(&params(), &asked)).await.ok();
    assert!(answer["result"]["content"][0]["text"].as_str().unwrap().contains("accept"), "{answer}");
}

#[tokio::test]
async fn the_official_sdk_is_asked_behind_haproxy_that_takes_turns() {
    let Some(python) = provisioned::python() else { return };
    let Some(everything) = provisioned::node_entry("mcp-server-everything") else { return };
    let config = json!({ "mcpServers": { "everything": everything }, "apiKey": KEY });
    if provisioned::haproxy().is_none() {
        return;
    }
    let replicas = started(&vec![config; REPLICAS]).await;
    // Each request takes its turn, also on a connection that is kept.
    let turns = [("balance leastconn", "balance roundrobin"), ("option prefer-last-server", "")];
    let Some(balancer) = Balancer::start(&replicas, &turns).await else { return };
    let mut command = Command::new(python);
    command.arg(provisioned::root().join("tests/clients/mcp_sdk_asked.py"));
    command.args([&format!("http://{}/everything/mcp", balancer.address), "2026-07-28", "Ada", KEY]);
    let done = command.stdin(Stdio::null()).output().await.unwrap();
    let found: Value = serde_json::from_slice(&done.stdout)
        .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&done.stderr)));
    let text = |tool: &str| found[tool].as_str().unwrap().to_owned();
    assert!(text("trigger-elicitation-request").contains("Name: Ada"), "{found}");
    assert!(text("trigger-sampling-request").contains("Ada thinks"), "{found}");
    assert!(text("get-roots-list").contains("file:///home/Ada"), "{found}");
}
