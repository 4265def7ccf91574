//! Arguments that a stateless server wants to see in headers, too, whoever calls and however: beside the suite's scenarios.

use serde_json::{Value, json};

use super::{Upstream, over_stdio};
use crate::support::Gateway;
use crate::support::mcp::{Session, stateless};

/// A gateway before the stateless upstream over HTTP, and before that of sessions over stdio.
async fn gateway() -> Option<(Upstream, Gateway)> {
    let (upstream, stdio) = (Upstream::start("modern")?, over_stdio("legacy")?);
    let http = json!({ "type": "streamable-http", "url": upstream.url });
    let gateway = Gateway::serving(json!({ "http": http, "stdio": stdio })).start().await;
    gateway.ready(&["http", "stdio"]).await;
    Some((upstream, gateway))
}

#[tokio::test]
async fn arguments_reach_a_server_that_wants_them_in_headers_from_every_face() {
    let Some((_upstream, gateway)) = gateway().await else { return };
    for region in ["us-west1", " Zürich\n", "=?base64?literal?=", ""] {
        let arguments = json!({ "region": region });
        let said = format!("region={region}");
        assert_eq!(gateway.post("/http/test_x_mcp_header", &arguments).await.ok(), json!(said));
        let session = Session::open(&gateway, "/http/mcp").await;
        assert_eq!(session.call("test_x_mcp_header", &arguments).await["content"][0]["text"], said);
    }
    assert_eq!(gateway.post("/http/test_x_mcp_header", &json!({})).await.ok(), json!("region=none"));
}

#[tokio::test]
async fn a_tool_whose_header_was_renamed_is_read_again_and_called() {
    let Some((_upstream, gateway)) = gateway().await else { return };
    let arguments = json!({ "place": "here" });
    for _ in 0..2 {
        assert_eq!(gateway.post("/http/test_moving_header", &arguments).await.ok(), json!("place=here"));
        assert_eq!(gateway.post("/http/test_move_header", &json!({})).await.ok(), json!("moved"));
    }
    // The new definition is what clients are shown from now on.
    let session = Session::open(&gateway, "/http/mcp").await;
    let shown = async || {
        let list = session.result("tools/list", &json!({})).await;
        let tools = list["tools"].as_array().unwrap().clone();
        let tool = tools.into_iter().find(|tool| tool["name"] == "test_moving_header").unwrap();
        tool["inputSchema"]["properties"]["place"]["x-mcp-header"].clone()
    };
    while shown().await != "After" {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn the_headers_of_a_stateless_client_are_held_to_its_body_before_every_server_at_both_endpoints() {
    let Some((_upstream, gateway)) = gateway().await else { return };
    let ask = |server: &str, is_all: bool, arguments: Value| {
        let tool =
            if is_all { format!("{server}_test_x_mcp_header") } else { "test_x_mcp_header".to_owned() };
        let path = if is_all { "/mcp".to_owned() } else { format!("/{server}/mcp") };
        let params = json!({ "name": tool, "arguments": arguments });
        stateless(gateway.ask("POST", &path), "tools/call", &params)
    };
    for (server, is_all) in [("http", false), ("stdio", false), ("http", true), ("stdio", true)] {
        let region = || json!({ "region": "us-west1" });
        let taken = ask(server, is_all, region()).header("Mcp-Param-Region", "us-west1").send().await.ok();
        assert_eq!(taken["result"]["content"][0]["text"], "region=us-west1", "{server}: {taken}");
        assert_eq!(ask(server, is_all, json!({})).send().await.status, 200);
        for refused in [
            ask(server, is_all, region()),
            ask(server, is_all, region()).header("Mcp-Param-Region", "us-east1"),
            ask(server, is_all, region()).header("Mcp-Param-Region", "=?base64?!?="),
            ask(server, is_all, json!({})).header("Mcp-Param-Region", "us-west1"),
        ] {
            let answer = refused.send().await;
            assert_eq!((answer.status, &answer.json()["error"]["code"]), (400, &json!(-32020)), "{server}");
        }
    }
}
