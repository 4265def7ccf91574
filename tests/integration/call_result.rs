//! `Accept: application/vnd.mcp.call-result+json` gives the server's result, JSON-equal to what it sent.

use serde_json::{Value, json};

use crate::support::servers::script;
use crate::support::{Gateway, provisioned, servers};

const RESULT: &str = "application/vnd.mcp.call-result+json";

#[tokio::test]
async fn the_result_is_what_the_server_sent_with_everything_unknown_in_it() {
    let gateway = Gateway::serving(json!({ "s": servers::scripted(&[]) })).start().await;
    gateway.ready(&["s"]).await;
    let ask = gateway.ask("POST", "/s/vendor").header("Accept", RESULT).json(&json!({}));
    let answer = ask.send().await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("content-type"), Some(RESULT));
    // The text of the result in the server's own source, so that numbers are compared digit for digit.
    let source = std::fs::read_to_string(script("scripted_server.py")).unwrap();
    let lines = source.lines().skip_while(|line| !line.starts_with("VENDOR = (")).skip(1).take(3);
    let sent: String = lines.map(|line| line.trim().trim_matches('\'')).collect();
    let sent: Value = serde_json::from_str(&sent).unwrap();
    assert_eq!(answer.json(), sent);
    for text in ["123456789012345678901234567890", "\"float\":1.0"] {
        assert!(answer.text().replace(' ', "").contains(text), "{text} is not in {}", answer.text());
    }
}

#[tokio::test]
async fn a_failed_tools_result_is_given_as_a_result_too() {
    let gateway = Gateway::serving(json!({ "q": servers::quirk(&["errors"]) })).start().await;
    gateway.ready(&["q"]).await;
    let ask = gateway.ask("POST", "/q/iserr_struct").header("Accept", RESULT).json(&json!({}));
    let answer = ask.send().await;
    let wanted = json!({
        "content": [{ "type": "text", "text": "bad" }],
        "isError": true,
        "structuredContent": { "why": "x" },
    });
    assert_eq!(answer.json(), wanted, "{}", answer.status);
    // A JSON-RPC error is no result, whatever was asked for.
    let ask = gateway.ask("POST", "/q/e_internal").header("Accept", RESULT).json(&json!({}));
    assert_eq!(ask.send().await.status, 500);
}

#[tokio::test]
async fn without_that_accept_header_the_answer_is_the_plain_one() {
    let Some(time) = provisioned::time() else { return };
    let gateway = Gateway::serving(json!({ "time": time })).start().await;
    gateway.ready(&["time"]).await;
    let body = json!({ "timezone": "UTC" });
    for accept in ["*/*", "application/json"] {
        let ask = gateway.ask("POST", "/time/get_current_time").header("Accept", accept).json(&body);
        assert_eq!(ask.send().await.ok()["timezone"], "UTC", "{accept}");
    }
    let ask = gateway.ask("POST", "/time/get_current_time").header("Accept", RESULT).json(&body);
    let result = ask.send().await.ok();
    assert_eq!(result["structuredContent"]["timezone"], "UTC");
    assert_eq!(result["content"][0]["type"], "text");
}
