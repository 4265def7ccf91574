//! Lists that no honest server sends: what each may cost, and that those of other servers are read all the same.

use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::support::fake_http::{FakeHttp, Says, result};
use crate::support::mcp::Session;
use crate::support::{Gateway, servers, until};

/// A server whose list holds the JSON text `entry`, with its number for `$n`, so many times.
fn listing(folder: &tempfile::TempDir, entry: &str, times: usize) -> Value {
    let file = tempfile::NamedTempFile::new_in(folder).unwrap().keep().unwrap().1;
    std::fs::write(&file, entry).unwrap();
    servers::scripted(&["--entries", file.to_str().unwrap(), "--times", &times.to_string()])
}

#[tokio::test]
async fn a_list_of_what_is_no_tool_is_read_to_its_bound_and_told_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    for (entry, kind) in
        [("{}", "object without a name"), ("null", "null"), ("[[]]", "array"), ("\"x\"", "string")]
    {
        let gateway = Gateway::serving(json!({ "evil": listing(&folder, entry, 300_000) })).start().await;
        gateway.ready(&["evil"]).await;
        gateway.logged("evil: its tool list is longer than 50000 entries and is cut after 10 tools").await;
        let told = gateway.log().matches("an entry of its tool list").count();
        assert_eq!(told, 1, "{entry}");
        gateway.logged(&format!("is no tool (an object with a `name`): {kind} (and 49989 further")).await;
        gateway.post("/evil/echo", &json!({ "value": 1 })).await.ok();
    }
}

#[tokio::test]
async fn a_tool_that_takes_too_much_memory_is_left_out_and_the_others_are_served() {
    let folder = tempfile::tempdir().unwrap();
    let large = format!(r#"{{"name":"large","inputSchema":{{"enum":[{}1]}}}}"#, "1,".repeat(200_000));
    let gateway = Gateway::serving(json!({ "evil": listing(&folder, &large, 3) })).start().await;
    gateway.ready(&["evil"]).await;
    gateway
        .logged("evil: an entry of its tool list named `large` is left out: it takes more than 24 MiB")
        .await;
    gateway.post("/evil/echo", &json!({ "value": 1 })).await.ok();
    assert_eq!(gateway.post("/evil/large", &json!({})).await.status, 404);
}

#[tokio::test]
async fn a_list_is_cut_before_it_takes_too_much_memory() {
    let folder = tempfile::tempdir().unwrap();
    let entry = format!(r#"{{"name":"t$n","inputSchema":{{"enum":[{}1]}}}}"#, "{},".repeat(20_000));
    let gateway = Gateway::serving(json!({ "evil": listing(&folder, &entry, 20) })).start().await;
    gateway.ready(&["evil"]).await;
    gateway.logged("evil: its tool list is longer than 96 MiB of memory and is cut after 18 tools").await;
    gateway.post("/evil/t7", &json!({})).await;
    gateway.post("/evil/echo", &json!({ "value": 1 })).await.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_prompts_is_cut_at_its_bound_and_the_log_says_so() {
    let server = FakeHttp::start(|came| {
        let mut answer = result(&came.message)?;
        match came.asks() {
            "initialize" => answer["result"]["capabilities"]["prompts"] = json!({}),
            "prompts/list" => {
                let prompt = |number| json!({ "name": format!("p{number}") });
                let prompts: Vec<_> = (0..50_002).map(prompt).collect();
                let result = json!({ "prompts": prompts });
                answer = json!({ "jsonrpc": "2.0", "id": answer["id"], "result": result });
            }
            _ => return None,
        }
        Some(Says::json(200, &answer))
    })
    .await;
    let gateway = Gateway::serving(json!({ "s": server.entry() })).start().await;
    gateway.ready(&["s"]).await;
    let session = Session::open(&gateway, "/s/mcp").await;
    let listed = session.result("prompts/list", &json!({})).await;
    assert_eq!(listed["prompts"].as_array().unwrap().len(), 50_000);
    gateway
        .logged("s: a page of its list of prompts is longer than 50000 entries and is cut after 50000")
        .await;
    assert!(!gateway.log().contains("left out"), "{}", gateway.log());
}

/// A tool whose schema takes long to take apart, and is still within the budget of one.
fn costly() -> String {
    let properties: Map<String, Value> =
        (0..3_000).map(|index| (format!("p{index}"), json!({ "type": "string" }))).collect();
    json!({ "name": "t$n", "inputSchema": { "type": "object", "properties": properties } }).to_string()
}

#[tokio::test]
async fn a_changed_list_is_seen_while_those_of_other_servers_are_still_taken_apart() {
    let folder = tempfile::tempdir().unwrap();
    let tools = folder.path().join("tools");
    std::fs::write(&tools, "early\n").unwrap();
    let config = json!({
        "good": servers::scripted(&["--tools-file", tools.to_str().unwrap(), "--restless", "0.2"]),
        "heavy": listing(&folder, &costly(), 50),
        "heavier": listing(&folder, &costly(), 50),
    });
    let gateway = Gateway::serving(config).start().await;
    gateway.logged("heavy is ready: scripted 1.2.3, 60 tools").await;
    gateway.logged("heavier is ready: scripted 1.2.3, 60 tools").await;
    std::fs::write(&tools, "late\n").unwrap();
    let shown = until(Duration::from_secs(60), "the late tool", async || {
        let document = gateway.get("/good/openapi.json").await.ok();
        document["paths"].get("/late").is_some().then_some(())?;
        // A call goes to what is built, and waits for nothing that is not.
        Some(gateway.post("/good/late", &json!({ "value": 1 })).await)
    })
    .await;
    shown.ok();
    let text = gateway.get("/metrics").await.text();
    let built = |server: &str| {
        let mut lines = text.lines().filter(|line| line.starts_with("mcpo_server_tools{"));
        let line = lines.find(|line| line.contains(&format!("\"{server}\""))).unwrap();
        line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()
    };
    let is_built = |server| built(server) > 0.0;
    assert!(built("good") > 0.0);
    assert!(!is_built("heavy") && !is_built("heavier"), "the others are there already: this tells nothing");
}

#[tokio::test]
async fn a_schema_over_its_budget_is_told_in_one_line_and_its_tool_is_served() {
    let folder = tempfile::tempdir().unwrap();
    let costly =
        format!(r#"{{"name":"t$n","inputSchema":{{"enum":[{}{{"value":1}}]}}}}"#, "{},".repeat(20_000));
    let gateway = Gateway::serving(json!({ "evil": listing(&folder, &costly, 3) })).start().await;
    gateway.ready(&["evil"]).await;
    let line = "evil: the schema of `t0` and of 2 further tools takes more than 20000 steps to take apart";
    gateway.logged(line).await;
    let document = gateway.get("/evil/openapi.json").await.ok();
    assert_eq!(document["components"]["schemas"]["t2_form_model"]["additionalProperties"], true);
    assert_eq!(document["paths"].as_object().unwrap().len(), 13);
    assert_eq!(gateway.log().matches(line).count(), 1);
    gateway.post("/evil/echo", &json!({ "value": 1 })).await.ok();
}
