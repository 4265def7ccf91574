//! The built-in server beside others: it finds, describes and calls their tools, and opens no more than its caller
//! may see anyway.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Answer, Gateway, servers, until};

const LIMITED: &str = "key-limited";
const READER: &str = "key-reader";
const FULL: &str = "key-full";

/// Two servers, one that fails on request and one that is broken, beside the built-in one.
async fn gateway() -> Gateway {
    let config = json!({
        "mcpServers": {
            "a": servers::scripted(&["--tools-read-only", "look"]),
            "b": servers::scripted(&["--tools", "treasure"]),
            "faults": servers::quirk(&["errors"]),
            "broken": servers::scripted(&["--start", "exit"]),
            "gateway": { "type": "gateway" },
        },
        "apiKeys": {
            "limited": { "key": LIMITED, "servers": ["a", "gateway"] },
            "reader": { "key": READER, "readOnly": true },
        },
    });
    let gateway = Gateway::with(config).flag("--api-key", FULL).start().await;
    gateway.listed(&["a", "b", "faults", "gateway"]).await;
    gateway.in_state("broken", "unavailable").await;
    gateway
}

async fn use_tool(gateway: &Gateway, key: &str, tool: &str, arguments: Value) -> Answer {
    let ask = gateway.ask("POST", &format!("/gateway/{tool}"));
    ask.header("Authorization", &format!("Bearer {key}")).json(&arguments).send().await
}

/// The `key` of every entry of a list in the answer.
fn column(list: &Value, key: &str) -> Vec<String> {
    list.as_array().unwrap().iter().map(|entry| entry[key].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn it_lists_servers_with_their_state() {
    let gateway = gateway().await;
    let answer = use_tool(&gateway, FULL, "list_servers", json!({})).await.ok();
    let list = &answer["servers"];
    assert_eq!(column(list, "name"), ["a", "b", "faults", "broken", "gateway"]);
    let states: Vec<String> = column(list, "state");
    assert_eq!(states, ["ready", "ready", "ready", "unavailable", "ready"]);
    assert!(list[0]["tools"].as_u64().unwrap() > 5, "{list}");
    assert!(list[3]["reason"].as_str().unwrap().contains("no licence"), "{list}");
}

#[tokio::test]
async fn it_finds_describes_and_calls_tools_of_other_servers() {
    let gateway = gateway().await;
    let found = use_tool(&gateway, FULL, "search_tools", json!({ "query": "TREASURE" })).await.ok();
    assert_eq!(
        (column(&found["tools"], "server"), column(&found["tools"], "tool")),
        (vec!["b".to_owned()], vec!["treasure".to_owned()])
    );
    let nothing = use_tool(&gateway, FULL, "search_tools", json!({ "query": "treasure nowhere" })).await.ok();
    assert_eq!((&nothing["tools"], &nothing["matches"]), (&json!([]), &json!(0)));
    let within = use_tool(&gateway, FULL, "search_tools", json!({ "server": "a", "limit": 2 })).await.ok();
    assert_eq!(column(&within["tools"], "server"), ["a", "a"]);
    assert!(within["matches"].as_u64().unwrap() > 2, "{within}");

    let name = json!({ "server": "b", "tool": "treasure" });
    let described = use_tool(&gateway, FULL, "describe_tool", name).await.ok();
    assert_eq!((&described["server"], &described["name"]), (&json!("b"), &json!("treasure")));
    assert_eq!(described["inputSchema"]["properties"], json!({ "value": {} }));

    let arguments = json!({ "value": [1, "two"] });
    let through = json!({ "server": "b", "tool": "treasure", "arguments": arguments });
    let through = use_tool(&gateway, FULL, "call_tool", through).await.ok();
    assert_eq!(through, gateway.post("/b/treasure", &arguments).await.ok());
    assert_eq!(through, json!({ "tool": "treasure", "arguments": arguments }));
}

#[tokio::test]
async fn a_limited_key_reaches_no_hidden_server_through_it() {
    let gateway = gateway().await;
    let list = use_tool(&gateway, LIMITED, "list_servers", json!({})).await.ok();
    assert_eq!(column(&list["servers"], "name"), ["a", "gateway"]);
    let all = use_tool(&gateway, LIMITED, "search_tools", json!({ "limit": 200 })).await.ok();
    assert!(column(&all["tools"], "server").iter().all(|server| server == "a"), "{all}");
    assert_eq!(all["matches"].as_u64().unwrap(), all["tools"].as_array().unwrap().len() as u64);
    for query in [json!({ "query": "treasure" }), json!({ "server": "b" })] {
        let found = use_tool(&gateway, LIMITED, "search_tools", query).await.ok();
        assert_eq!((&found["tools"], &found["matches"]), (&json!([]), &json!(0)));
    }
    for tool in ["describe_tool", "call_tool"] {
        let seen = use_tool(&gateway, LIMITED, tool, json!({ "server": "a", "tool": "echo" })).await;
        assert_eq!(seen.status, 200, "{tool}: {}", seen.text());
        let missing = use_tool(&gateway, LIMITED, tool, json!({ "server": "c", "tool": "echo" })).await;
        assert_eq!(missing.status, 500, "{tool}: {}", missing.text());
        for hidden in ["b", "broken"] {
            let name = json!({ "server": hidden, "tool": "echo" });
            let answer = use_tool(&gateway, LIMITED, tool, name).await;
            let told = answer.text().replace(&format!("`{hidden}`"), "`c`");
            assert_eq!((answer.status, told), (500, missing.text()), "{tool} of {hidden}");
        }
    }
}

#[tokio::test]
async fn a_read_only_key_gets_neither_call_tool_nor_tools_that_change_things() {
    let gateway = gateway().await;
    let ask = |path: &str| gateway.ask("GET", path).header("Authorization", &format!("Bearer {READER}"));
    let document = ask("/gateway/openapi.json").send().await.ok();
    let paths: Vec<&String> = document["paths"].as_object().unwrap().keys().collect();
    assert_eq!(paths, ["/list_servers", "/search_tools", "/describe_tool"]);
    let look = json!({ "server": "a", "tool": "look" });
    assert_eq!(use_tool(&gateway, READER, "call_tool", look.clone()).await.status, 404);
    assert_eq!(use_tool(&gateway, FULL, "call_tool", look.clone()).await.status, 200);
    let found = use_tool(&gateway, READER, "search_tools", json!({})).await.ok();
    assert_eq!(column(&found["tools"], "tool"), ["look"]);
    assert_eq!(use_tool(&gateway, READER, "describe_tool", look).await.ok()["name"], "look");
    let echo = json!({ "server": "a", "tool": "echo" });
    let hidden = use_tool(&gateway, READER, "describe_tool", echo).await;
    assert_eq!(hidden.status, 500, "{}", hidden.text());
    let missing = json!({ "server": "a", "tool": "missing" });
    let missing = use_tool(&gateway, READER, "describe_tool", missing).await;
    assert_eq!(hidden.text().replace("`echo`", "`missing`"), missing.text());
    // What is told of broken servers is as short as in `/servers`.
    let list = use_tool(&gateway, READER, "list_servers", json!({})).await.ok();
    assert!(!list.to_string().contains("licence"), "{list}");
    assert!(list["servers"][3]["reason"].is_string(), "{list}");
}

#[tokio::test]
async fn it_does_not_call_itself() {
    let gateway = gateway().await;
    for tool in ["list_servers", "call_tool"] {
        let name = json!({ "server": "gateway", "tool": tool });
        let answer = use_tool(&gateway, FULL, "call_tool", name).await;
        assert_eq!(answer.status, 500, "{}", answer.text());
        assert!(answer.text().contains("call_tool"), "{}", answer.text());
    }
}

#[tokio::test]
async fn what_fails_behind_it_fails_before_it() {
    let gateway = gateway().await;
    for (server, tool, arguments, told) in [
        ("faults", "iserr_text", json!({}), "boom"),
        ("faults", "e_internal", json!({}), "msg for e_internal"),
        ("b", "missing", json!({}), "no tool `missing`"),
        ("missing", "echo", json!({}), "no server `missing`"),
        ("broken", "echo", json!({}), "unavailable"),
        ("b", "big", json!({ "bytes": "many" }), "bytes"),
        ("b", "complain", json!({}), ""),
    ] {
        let call = json!({ "server": server, "tool": tool, "arguments": arguments });
        let answer = use_tool(&gateway, FULL, "call_tool", call).await;
        assert_eq!(answer.status, 500, "{server}/{tool}: {}", answer.text());
        let message = answer.json()["detail"]["message"].as_str().unwrap_or_default().to_owned();
        assert!(!message.is_empty() && message.contains(told), "{server}/{tool}: {}", answer.text());
    }
    // Its own arguments are checked like those of every tool.
    let answer = use_tool(&gateway, FULL, "call_tool", json!({ "server": "b" })).await;
    assert_eq!(answer.status, 422, "{}", answer.text());
}

#[tokio::test]
async fn a_server_that_is_said_to_be_ready_is_said_to_have_its_tools() {
    let entry = servers::scripted(&[]);
    let config = json!({ "a": entry, "b": entry, "c": entry, "gateway": { "type": "gateway" } });
    let gateway = Gateway::serving(config).start().await;
    until(Duration::from_secs(60), "all servers are ready", async || {
        let answer = gateway.post("/gateway/list_servers", &json!({})).await.ok();
        let servers = answer["servers"].as_array().unwrap();
        let ready: Vec<&Value> = servers.iter().filter(|server| server["state"] == "ready").collect();
        assert!(ready.iter().all(|server| server["tools"] != 0), "ready without tools: {ready:?}");
        (ready.len() == servers.len()).then_some(())
    })
    .await;
}

#[tokio::test]
async fn the_log_tells_the_outcome_of_the_call_behind_it() {
    let gateway = gateway().await;
    for (server, tool, outcome) in
        [("a", "echo", "ok"), ("faults", "e_internal", "rpc_error"), ("faults", "iserr_text", "tool_error")]
    {
        use_tool(&gateway, FULL, "call_tool", json!({ "server": server, "tool": tool })).await;
        gateway.post(&format!("/{server}/{tool}"), &json!({})).await;
        // Called through `call_tool` and called directly: the same line twice.
        let wanted = format!("{server}/{tool} {outcome} ");
        until(Duration::from_secs(5), &format!("{wanted:?} twice in the log"), async || {
            (gateway.log().matches(&wanted).count() == 2).then_some(())
        })
        .await;
    }
}
