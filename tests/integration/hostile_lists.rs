//! Lists that no honest server sends: what each may cost, and that those of other servers are read all the same.

use serde_json::json;

use crate::support::{Gateway, servers};

/// A server whose list holds the JSON text `entry`, with its number for `$n`, so many times.
fn listing(folder: &tempfile::TempDir, entry: &str, times: usize) -> serde_json::Value {
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
