//! What a server asks the client of a call, and tells it meanwhile: it reaches that client alone, in its profile, also through
//! the gateway's own `call_tool`.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::mcp::{Session, stateless_able};
use crate::support::{Gateway, provisioned, servers, until};

fn able() -> Value {
    json!({ "elicitation": { "form": {} } })
}

fn telling(options: &[&str]) -> Value {
    servers::entry("offering_server.py", &[&["--tells"], options].concat())
}

fn text(result: &Value) -> &str {
    result["content"][0]["text"].as_str().unwrap_or_else(|| panic!("no text: {result}"))
}

/// The first round of a call that asks, at `path`.
async fn asked(gateway: &Gateway, path: &str, params: &Value) -> Value {
    let ask = stateless_able(gateway.ask("POST", path), &able(), "tools/call", params);
    let ask = ask.header("Mcp-Param-Message", "name?");
    let result = ask.send().await.ok()["result"].clone();
    assert_eq!(result["resultType"], "input_required", "{result}");
    result
}

/// The round that brings the answers to what `result` asks.
fn again(params: &Value, result: &Value) -> Value {
    let mut params = params.clone();
    params["requestState"] = result["requestState"].clone();
    for (key, _) in result["inputRequests"].as_object().unwrap() {
        params["inputResponses"][key] = json!({ "action": "accept", "content": { "name": "Ada" } });
    }
    params
}

#[tokio::test]
async fn a_request_that_waits_and_a_connection_of_its_own_are_of_one_profile() {
    let config = json!({
        "mcpServers": { "s": telling(&[]) },
        "profiles": { "one": { "servers": ["s"] }, "two": { "servers": ["s"] } },
    });
    let gateway = Gateway::with(config).start().await;
    gateway.listed(&["s"]).await;
    let params = json!({ "name": "s_ask", "arguments": { "message": "name?" } });
    let result = asked(&gateway, "/mcp?profile=one", &params).await;
    let params = again(&params, &result);
    let resume = async |path: &str| {
        let ask = stateless_able(gateway.ask("POST", path), &able(), "tools/call", &params);
        ask.header("Mcp-Param-Message", "name?").send().await
    };
    for path in ["/mcp?profile=two", "/mcp"] {
        let refused = resume(path).await;
        assert_eq!((refused.status, &refused.json()["error"]["code"]), (400, &json!(-32602)), "{path}");
    }
    let answer = resume("/mcp?profile=one").await.ok();
    assert!(text(&answer["result"]).contains("accept"), "{answer}");
    // Nor is the process of one profile ever that of another.
    let mut pids = Vec::new();
    for path in ["/mcp?profile=one", "/mcp?profile=one", "/mcp?profile=two", "/mcp"] {
        let call =
            stateless_able(gateway.ask("POST", path), &able(), "tools/call", &json!({ "name": "s_pid" }));
        pids.push(text(&call.send().await.ok()["result"]).to_owned());
    }
    assert_eq!(pids[0], pids[1]);
    pids.sort();
    pids.dedup();
    assert_eq!(pids.len(), 3);
}

#[tokio::test]
async fn the_headers_of_a_later_round_are_held_to_its_body_like_those_of_the_first() {
    let gateway = Gateway::serving(json!({ "s": telling(&[]) })).start().await;
    gateway.listed(&["s"]).await;
    for (path, tool) in [("/mcp", "s_ask"), ("/s/mcp", "ask")] {
        let params = json!({ "name": tool, "arguments": { "message": "name?" } });
        let result = asked(&gateway, path, &params).await;
        let params = again(&params, &result);
        let ask = || stateless_able(gateway.ask("POST", path), &able(), "tools/call", &params);
        for wrong in [ask(), ask().header("Mcp-Param-Message", "another")] {
            let refused = wrong.send().await;
            assert_eq!((refused.status, &refused.json()["error"]["code"]), (400, &json!(-32020)), "{path}");
        }
        // The request waits on.
        let answer = ask().header("Mcp-Param-Message", "name?").send().await.ok();
        assert!(text(&answer["result"]).contains("accept"), "{answer}");
    }
}

#[tokio::test]
async fn call_tool_passes_on_what_a_direct_call_would() {
    let config = json!({ "s": telling(&["--more", "extra"]), "gateway": { "type": "gateway" } });
    let gateway = Gateway::serving(config).start().await;
    gateway.listed(&["s"]).await;
    let call = |tool: &str, arguments: Value| json!({ "server": "s", "tool": tool, "arguments": arguments });
    for (path, relay) in [("/gateway/mcp", "call_tool"), ("/mcp", "gateway_call_tool")] {
        let client = Session::able(gateway.ask("POST", path), &able()).await;
        let streamed = async |inner: Value| {
            let params = json!({ "name": relay, "arguments": inner, "_meta": { "progressToken": "mine" } });
            client.streamed(&gateway, path, "tools/call", &params).await
        };
        let mut answer = streamed(call("ask", json!({ "message": "who?" }))).await;
        let question = answer.message("elicitation/create").await;
        assert_eq!(question["params"]["message"], "who?");
        client.reply(&question, &json!({ "action": "decline" })).await;
        assert!(text(&answer.message("").await["result"]).contains("decline"), "{}", answer.text);

        let mut answer = streamed(call("steps", json!({}))).await;
        for step in 1..=3 {
            let told = answer.message("notifications/progress").await;
            assert_eq!(told["params"], json!({ "progressToken": "mine", "progress": step }));
        }
        client.result("logging/setLevel", &json!({ "level": "info" })).await;
        let mut answer = streamed(call("log", json!({ "message": "hello" }))).await;
        assert_eq!(answer.message("notifications/message").await["params"]["data"], "hello");

        // A tool that the server has for this client alone is found, described and called.
        let own = |tool: &str| relay.replace("call_tool", tool);
        let heard = async |tool: &str, arguments: Value| client.heard(&gateway, path, tool, &arguments).await;
        until(Duration::from_secs(20), "such a tool to be found", async || {
            let found = heard(&own("search_tools"), json!({ "query": "extra" })).await;
            (found["structuredContent"]["tools"][0]["tool"] == "extra").then_some(())
        })
        .await;
        let described = heard(&own("describe_tool"), json!({ "server": "s", "tool": "extra" })).await;
        assert_eq!(described["structuredContent"]["name"], "extra", "{described}");
        assert!(text(&heard(relay, call("extra", json!({}))).await).contains("extra"));
        let plain = Session::open(&gateway, path).await;
        assert_eq!(plain.call(relay, &call("extra", json!({}))).await["isError"], true);

        let params = json!({ "name": relay, "arguments": call("ask", json!({ "message": "who?" })) });
        let result = asked(&gateway, path, &params).await;
        let params = again(&params, &result);
        let answer = stateless_able(gateway.ask("POST", path), &able(), "tools/call", &params).send().await;
        assert!(text(&answer.ok()["result"]).contains("Ada"), "{}", answer.text());
    }
    // Who cannot be asked is told so by the server, on every face.
    let rest = gateway.post("/gateway/call_tool", &call("ask", json!({}))).await;
    assert_eq!(rest.ok(), json!("nobody to ask"));
}

#[tokio::test]
async fn call_tool_passes_on_what_a_real_stateless_server_asks_in_either_era() {
    let Some(node) = provisioned::newer_node() else { return };
    let program = provisioned::root().join("tests/conformance/upstream.mjs");
    let modern = json!({ "command": node, "args": [program, "modern", "stdio"] });
    let gateway = Gateway::serving(json!({ "s": modern, "gateway": { "type": "gateway" } })).start().await;
    gateway.listed(&["s"]).await;
    let inner = json!({ "server": "s", "tool": "test_input_required_result_request_state" });
    let params = json!({ "name": "gateway_call_tool", "arguments": inner });
    // With a session it comes as a request.
    let client = Session::able(gateway.ask("POST", "/mcp"), &able()).await;
    let mut answer = client.streamed(&gateway, "/mcp", "tools/call", &params).await;
    let question = answer.message("elicitation/create").await;
    client.reply(&question, &json!({ "action": "accept", "content": { "ok": true } })).await;
    let result = answer.message("").await["result"].clone();
    assert_eq!(text(&result), "state-ok");
    assert!(result.get("resultType").is_none(), "{result}");
    // Without one, the server's own state goes to the client and back.
    let result = asked(&gateway, "/mcp", &params).await;
    let mut params = again(&params, &result);
    params["inputResponses"]["confirm"]["content"] = json!({ "ok": true });
    let answer = stateless_able(gateway.ask("POST", "/mcp"), &able(), "tools/call", &params).send().await;
    assert_eq!(text(&answer.ok()["result"]), "state-ok", "{}", answer.text());
    // Who has no way to be asked is told so, not left with half an answer.
    let rest = gateway.post("/gateway/call_tool", &inner).await;
    assert!(rest.status == 500 && rest.text().contains("client capabilities"), "{}", rest.text());
}

#[tokio::test]
async fn a_server_that_asks_between_two_calls_is_not_answered_in_the_place_of_the_client() {
    let Some(everything) = provisioned::node_entry("mcp-server-everything") else { return };
    let gateway = Gateway::serving(json!({ "s": everything })).start().await;
    gateway.listed(&["s"]).await;
    let call = |params: &Value| {
        stateless_able(gateway.ask("POST", "/s/mcp"), &json!({ "roots": {} }), "tools/call", params)
    };
    call(&json!({ "name": "echo", "arguments": { "message": "hello" } })).send().await.ok();
    // The server asks for roots by itself, some time after its start, and would keep an empty list.
    gateway.logged("Failed to request roots from client").await;
    let mut params = json!({ "name": "get-roots-list" });
    let result = call(&params).send().await.ok()["result"].clone();
    let (key, question) = result["inputRequests"].as_object().unwrap().iter().next().unwrap();
    assert_eq!(question["method"], "roots/list", "{result}");
    params["requestState"] = result["requestState"].clone();
    params["inputResponses"][key] = json!({ "roots": [{ "uri": "file:///home/ada", "name": "Ada" }] });
    let answer = call(&params).send().await.ok();
    assert!(text(&answer["result"]).contains("file:///home/ada"), "{answer}");
}

#[tokio::test]
async fn a_session_that_changes_its_level_keeps_its_connection() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let gateway = Gateway::serving(json!({ "s": telling(&["--log", log.to_str().unwrap()]) })).start().await;
    gateway.listed(&["s"]).await;
    for (path, prefix) in [("/s/mcp", ""), ("/mcp", "s_")] {
        let before = levels(&log).len();
        let session = Session::open(&gateway, path).await;
        let mut pids = Vec::new();
        for level in ["debug", "warning", "warning", "info"] {
            session.result("logging/setLevel", &json!({ "level": level })).await;
            pids.push(
                text(&session.heard(&gateway, path, &format!("{prefix}pid"), &json!({})).await).to_owned(),
            );
        }
        pids.dedup();
        assert_eq!(pids.len(), 1, "{path}: another process for another level");
        let told: Vec<_> = levels(&log)[before..].to_vec();
        let expected = ["debug", "warning", "info"].map(|level| (level.to_owned(), pids[0].clone()));
        assert_eq!(told, expected, "{path}");
    }
}

/// The levels that the server was asked for, with the process that was.
fn levels(log: &Path) -> Vec<(String, String)> {
    let text = std::fs::read_to_string(log).unwrap();
    let messages = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let asked = messages.filter(|message| message["method"] == "logging/setLevel");
    asked
        .map(|message| (message["params"]["level"].as_str().unwrap().into(), message["pid"].to_string()))
        .collect()
}

#[tokio::test]
async fn a_server_that_asks_without_end_is_cut_short_in_either_era() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let server = telling(&["--nags", "--log", log.to_str().unwrap()]);
    let gateway = Gateway::serving(json!({ "s": server })).start().await;
    gateway.listed(&["s"]).await;
    let began = Instant::now();
    let params = json!({ "name": "s_nag", "arguments": { "count": 4000, "every": 5 } });
    let result = asked(&gateway, "/mcp", &params).await;
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    assert!(result["inputRequests"].as_object().unwrap().len() <= 64);
    // With a session the questions are requests of their own; each one too many is answered with an error.
    let client = Session::able(gateway.ask("POST", "/mcp"), &able()).await;
    let params = json!({ "name": "s_nag", "arguments": { "count": 70 } });
    let mut answer = client.streamed(&gateway, "/mcp", "tools/call", &params).await;
    answer.message("elicitation/create").await;
    until(Duration::from_secs(20), "the refusal of each question too many", async || {
        let refused = refusals(&log);
        (0..70).filter(|number| refused.contains(&format!("nag-{number}"))).count().ge(&6).then_some(())
    })
    .await;
}

/// The ids of the server's own requests that were answered with an error.
fn refusals(log: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(log).unwrap();
    let messages = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let refused =
        messages.filter(|message| message["error"]["message"].as_str().unwrap_or("").contains("already"));
    refused.map(|message| message["id"].as_str().unwrap_or_default().to_owned()).collect()
}

#[tokio::test]
async fn the_time_of_a_call_stands_still_while_its_client_is_asked_and_for_nothing_else() {
    let mut server = telling(&[]);
    server["timeout"] = json!(1);
    let gateway = Gateway::serving(json!({ "s": server, "t": patient() })).start().await;
    gateway.listed(&["s", "t"]).await;
    let client = Session::able(gateway.ask("POST", "/mcp"), &able()).await;
    let params = json!({ "name": "s_ask", "arguments": { "message": "?" } });
    let mut answer = client.streamed(&gateway, "/mcp", "tools/call", &params).await;
    let question = answer.message("elicitation/create").await;
    tokio::time::sleep(Duration::from_millis(2500)).await;
    client.reply(&question, &json!({ "action": "decline" })).await;
    let told = answer.message("").await;
    assert!(text(&told["result"]).contains("decline"), "{told}");
    // Answers to what was never asked keep no call alive.
    let began = Instant::now();
    let params = json!({ "name": "t_wait" });
    let mut answer = client.streamed(&gateway, "/mcp", "tools/call", &params).await;
    let unasked = async {
        loop {
            client.reply(&json!({ "id": 4711 }), &json!({})).await;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let told = tokio::select! {
        told = answer.answer() => told,
        () = unasked => unreachable!("it goes on"),
        () = tokio::time::sleep(Duration::from_secs(10)) => panic!("the call goes on after {:?}", began.elapsed()),
    };
    assert_eq!(told["result"]["isError"], true, "{told}");
}

/// A server whose tool `wait` takes for ever.
fn patient() -> Value {
    let mut server = servers::scripted(&[]);
    server["timeout"] = json!(1);
    server
}
