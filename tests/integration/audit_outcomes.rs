//! The audit trail says what truly happened: one record of each call whose tool was named, however it ended.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::support::mcp::{Session, stateless, stateless_able};
use crate::support::{Ask, Gateway, servers, until};

/// A trail that is read record by record.
struct Trail {
    _folder: TempDir,
    path: PathBuf,
    seen: usize,
}

impl Trail {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.jsonl");
        Self { _folder: folder, path, seen: 0 }
    }

    async fn started(&self, servers: Value, more: Value) -> Gateway {
        let names: Vec<String> = servers.as_object().unwrap().keys().cloned().collect();
        let mut config = json!({ "mcpServers": servers, "audit": { "file": self.path } });
        config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let gateway = Gateway::with(config).flag("--api-key", "k3y").start().await;
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        gateway.listed(&names).await;
        gateway
    }

    /// Server, tool and outcome of the next `count` records.
    async fn next(&mut self, count: usize) -> Vec<[String; 3]> {
        let (path, seen) = (&self.path, self.seen);
        let what = format!("{} records in {}", seen + count, path.display());
        let records = until(Duration::from_secs(30), &what, async || {
            let records = records(path);
            (records.len() >= seen + count).then_some(records)
        })
        .await;
        self.seen += count;
        records[seen..seen + count].to_vec()
    }

    /// That the next record is this one.
    async fn tells(&mut self, server: &str, tool: &str, outcome: &str) {
        assert_eq!(self.next(1).await, [[server, tool, outcome].map(str::to_owned)]);
    }
}

fn records(path: &Path) -> Vec<[String; 3]> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let records = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let told = |record: Value| {
        ["mcp_server", "mcp_tool", "outcome"].map(|key| record[key].as_str().unwrap_or("-").to_owned())
    };
    records.map(told).collect()
}

fn able() -> Value {
    json!({ "elicitation": {}, "sampling": {} })
}

async fn in_flight(gateway: &Gateway, count: usize) {
    let wanted = format!("mcpo_calls_in_flight{{mcp_server=\"s\"}} {count}\n");
    until(Duration::from_secs(20), &wanted, async || {
        gateway.get("/metrics").await.text().contains(&wanted).then_some(())
    })
    .await;
}

fn keyed(gateway: &Gateway, path: &str) -> Ask {
    gateway.keyed(gateway.ask("POST", path))
}

#[tokio::test]
async fn a_question_that_the_client_refuses_or_cannot_be_asked_is_no_client_that_left() {
    let mut trail = Trail::new();
    let gateway = trail.started(json!({ "s": servers::entry("asking_server.py", &[]) }), json!({})).await;
    let params = |method: &str| json!({ "name": "ask", "arguments": { "method": method } });

    // Asked by a request, which the client refuses.
    let client = Session::able(keyed(&gateway, "/s/mcp"), &able()).await;
    let sampling = params("sampling/createMessage");
    let mut answer = client.streamed(&gateway, "/s/mcp", "tools/call", &sampling).await;
    let question = answer.message("sampling/createMessage").await;
    client.refuse(&question).await;
    assert!(answer.message("").await["error"]["message"].as_str().unwrap().contains("refused"));
    trail.tells("s", "ask", "input_refused").await;

    // A form that is cancelled again and again.
    let mut answer = client.streamed(&gateway, "/s/mcp", "tools/call", &params("elicitation/create")).await;
    for _ in 0..32 {
        let question = answer.message("elicitation/create").await;
        client.refuse(&question).await;
    }
    assert!(answer.message("").await["error"]["message"].as_str().unwrap().contains("again and again"));
    trail.tells("s", "ask", "too_many_rounds").await;

    // A server that asks for nothing that could be asked, and a client that has no way to be asked.
    let mut answer = client.streamed(&gateway, "/s/mcp", "tools/call", &params("nonsense")).await;
    assert!(answer.answer().await["error"].is_object());
    trail.tells("s", "ask", "protocol_fault").await;
    let mute = Session::open(&gateway, "/s/mcp").await;
    assert!(mute.error("tools/call", &sampling).await["message"].as_str().unwrap().contains("no way"));
    trail.tells("s", "ask", "input_unavailable").await;
    let metrics = gateway.get("/metrics").await.text();
    for end in ["input_refused", "too_many_rounds", "input_unavailable"] {
        let series = format!("error_type=\"{end}\",gen_ai_tool_name=\"ask\"");
        assert!(metrics.contains(&series), "{series} is not in\n{metrics}");
    }
}

#[tokio::test]
async fn a_request_that_is_refused_once_its_tool_was_named_has_a_record() {
    let mut trail = Trail::new();
    let servers = json!({
        "s": servers::entry("offering_server.py", &["--tells"]),
        "gateway": { "builtin": "gateway" },
    });
    let gateway = trail.started(servers, json!({})).await;
    let params = json!({ "name": "ask", "arguments": { "message": "name?" } });
    let call = |params: &Value| stateless(keyed(&gateway, "/s/mcp"), "tools/call", params);

    // Headers that do not say what the body says: an argument's, the tool's, the revision's.
    for ask in [
        call(&params),
        call(&params).header("Mcp-Param-Message", "other"),
        call(&params).without("Mcp-Name").header("Mcp-Name", "other"),
        call(&params).without("MCP-Protocol-Version").header("MCP-Protocol-Version", "2025-11-25"),
    ] {
        assert_eq!(ask.send().await.status, 400);
        trail.tells("s", "ask", "header_mismatch").await;
    }

    // A state that stands for nothing, and one that stands for another request.
    let mut stale = params.clone();
    stale["requestState"] = "mcpo.none".into();
    assert_eq!(call(&stale).header("Mcp-Param-Message", "name?").send().await.status, 400);
    trail.tells("s", "ask", "unknown_state").await;
    let able = |params: &Value| {
        let ask = stateless_able(keyed(&gateway, "/s/mcp"), &able(), "tools/call", params);
        ask.header("Mcp-Param-Message", params["arguments"]["message"].as_str().unwrap())
    };
    let asked = able(&params).send().await.ok()["result"].clone();
    let mut other = json!({ "name": "ask", "arguments": { "message": "other" } });
    other["requestState"] = asked["requestState"].clone();
    assert_eq!(able(&other).send().await.status, 400);
    trail.tells("s", "ask", "unknown_state").await;
    let mut second = params.clone();
    second["requestState"] = asked["requestState"].clone();
    second["inputResponses"] = json!({ "input-1": { "action": "accept", "content": {} } });
    able(&second).send().await.ok();
    trail.tells("s", "ask", "ok").await;

    // A session that is gone, a revision that has none, arguments that are none, the gateway's own tool relayed.
    let message = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params });
    assert_eq!(
        keyed(&gateway, "/s/mcp").header("Mcp-Session-Id", "gone").json(&message).send().await.status,
        404
    );
    trail.tells("s", "ask", "session_not_found").await;
    let client = Session::open(&gateway, "/mcp").await;
    let odd = keyed(&gateway, "/mcp").header("Mcp-Session-Id", &client.id);
    assert_eq!(odd.header("MCP-Protocol-Version", "1999-01-01").json(&message).send().await.status, 400);
    trail.tells("-", "ask", "invalid_request").await;
    client.error("tools/call", &json!({ "name": "s_pid", "arguments": 5 })).await;
    trail.tells("-", "s_pid", "bad_arguments").await;
    let own = json!({ "server": "gateway", "tool": "list_servers" });
    assert_eq!(gateway.post("/gateway/call_tool", &own).await.status, 500);
    trail.tells("gateway", "list_servers", "invalid_request").await;
    trail.tells("gateway", "call_tool", "tool_error").await;
}

#[tokio::test]
async fn a_client_that_leaves_before_its_call_is_made_has_a_record_of_each_call() {
    let mut trail = Trail::new();
    let gateway = trail.started(json!({ "s": servers::scripted(&[]) }), json!({})).await;
    let open = async |path: &str, body: &str, length: usize| {
        let mut stream = TcpStream::connect(gateway.address).await.unwrap();
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer k3y\r\nContent-Type: application/json\r\n\
             Content-Length: {length}\r\n\r\n{body}",
            gateway.address
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        stream
    };
    // In the middle of its body.
    drop(open("/s/echo", "{", 100).await);
    trail.tells("s", "echo", "body_broken").await;
    // While eight of its calls run and two wait for their turn.
    let call = |number: usize| json!({ "id": number.to_string(), "function": { "name": "s_wait", "arguments": "{}" } });
    let body = Value::from_iter((0..10).map(call)).to_string();
    let stream = open("/v1/tools/call", &body, body.len()).await;
    in_flight(&gateway, 8).await;
    drop(stream);
    let mut told = trail.next(10).await;
    told.sort();
    let of = |server: &str, tool: &str| [server, tool, "cancelled"].map(str::to_owned);
    assert_eq!(told[..2], [of("-", "s_wait"), of("-", "s_wait")]);
    assert!(told[2..].iter().all(|record| *record == of("s", "wait")), "{told:?}");
}

#[tokio::test]
async fn calls_that_the_end_of_the_gateway_cuts_are_told_apart_from_clients_that_leave() {
    let mut trail = Trail::new();
    let drain = json!({ "limits": { "drain": 0.2 } });
    let mut gateway = trail.started(json!({ "s": servers::scripted(&[]) }), drain).await;
    let waiting = tokio::spawn(keyed(&gateway, "/s/wait").json(&json!({})).try_send());
    in_flight(&gateway, 1).await;
    waiting.abort();
    trail.tells("s", "wait", "cancelled").await;
    let waiting = tokio::spawn(keyed(&gateway, "/s/wait").json(&json!({})).try_send());
    in_flight(&gateway, 1).await;
    gateway.stop().await;
    assert!(waiting.await.unwrap().is_err());
    trail.tells("s", "wait", "shutdown").await;
    assert_eq!(records(&trail.path).len(), 2);
}
