//! What changes at a server is told where all servers stand, too: under the names that things have there, in both eras, and
//! to nobody whose key does not open the server.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::mcp::{Events, Session, stateless};
use crate::support::{Gateway, provisioned, servers, until};

const UPDATED: &str = "notifications/resources/updated";
const PROMPTS: &str = "notifications/prompts/list_changed";
const RESOURCES: &str = "notifications/resources/list_changed";
const OWN: &str = "odd+x://1/?a=%20#é";

fn telling(options: &[&str]) -> Value {
    servers::entry("offering_server.py", &[&["--tells"], options].concat())
}

fn under(server: &str) -> String {
    format!("mcpo://{server}/{OWN}")
}

/// How often the server was asked this.
fn asked(log: &Path, method: &str) -> usize {
    std::fs::read_to_string(log).unwrap_or_default().matches(&format!("\"{method}\"")).count()
}

#[tokio::test]
async fn a_resource_is_followed_under_its_name_where_all_servers_stand_in_either_era() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let config = json!({
        "a b": telling(&["--log", log.to_str().unwrap()]),
        "other": telling(&[]),
        "silent": servers::entry("offering_server.py", &[]),
    });
    let gateway = Gateway::serving(config).start().await;
    gateway.listed(&["a b", "other"]).await.ready(&["silent"]).await;
    let all = Session::open(&gateway, "/mcp").await;
    let mut stream = all.stream(&gateway, "/mcp").await;
    let (mut listener, told) = Events::listen(
        &gateway,
        "/mcp",
        &json!({ "resourceSubscriptions": [under("a%20b"), under("silent"), under("no"), OWN] }),
    )
    .await;
    assert_eq!(told, json!({ "resourceSubscriptions": [under("a%20b")] }));
    until(Duration::from_secs(20), "a subscription at the server for who only listens", async || {
        (asked(&log, "resources/subscribe") == 1).then_some(())
    })
    .await;
    // A client may write the name in its own way, and hears it as it wrote it.
    all.result("resources/subscribe", &json!({ "uri": under("a b") })).await;
    let touch = async |uri: &str| {
        let caller = Session::open(&gateway, "/a%20b/mcp").await;
        caller.call("touch", &json!({ "uri": uri })).await;
    };
    touch(OWN).await;
    assert_eq!(stream.message(UPDATED).await["params"], json!({ "uri": under("a b") }));
    let told = listener.message(UPDATED).await;
    assert_eq!(told["params"]["uri"], under("a%20b"));
    assert_eq!(told["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"], 1, "{told}");
    // What is a part of it is told, too.
    touch(&format!("{OWN}/part")).await;
    assert_eq!(stream.message(UPDATED).await["params"]["uri"], format!("{}/part", under("a b")));

    for (uri, code) in [(under("no"), -32002), (OWN.to_owned(), -32002), (under("silent"), -32602)] {
        assert_eq!(all.error("resources/subscribe", &json!({ "uri": uri })).await["code"], code, "{uri}");
    }
    assert_eq!((asked(&log, "resources/subscribe"), asked(&log, "resources/unsubscribe")), (2, 0));
    all.result("resources/unsubscribe", &json!({ "uri": under("a b") })).await;
    drop(listener);
    until(Duration::from_secs(20), "the end of the last subscription at the server", async || {
        (asked(&log, "resources/unsubscribe") == 1).then_some(())
    })
    .await;
}

#[tokio::test]
async fn what_is_followed_goes_on_over_the_servers_next_process_and_its_next_entry() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let config = |name: &str| json!({ "mcpServers": { "s": telling(&["--prompts", name, "--log", log.to_str().unwrap()]) } });
    let gateway = Gateway::with(config("one")).start().await;
    gateway.listed(&["s"]).await;
    let all = Session::open(&gateway, "/mcp").await;
    let mut stream = all.stream(&gateway, "/mcp").await;
    let (mut listener, _) =
        Events::listen(&gateway, "/mcp", &json!({ "resourceSubscriptions": [under("s")] })).await;
    all.result("resources/subscribe", &json!({ "uri": under("s") })).await;
    let pid = async || -> Option<i32> {
        let answer = all.call("s_pid", &json!({})).await;
        answer["content"][0]["text"].as_str()?.parse().ok()
    };
    for next in ["process", "entry"] {
        let before = pid().await.unwrap();
        if next == "process" {
            nix::sys::signal::kill(nix::unistd::Pid::from_raw(before), nix::sys::signal::Signal::SIGKILL)
                .unwrap();
        } else {
            gateway.reload(&config("two")).await;
        }
        let now = until(Duration::from_secs(60), &format!("the next {next}"), async || {
            pid().await.filter(|now| *now != before)
        })
        .await;
        until(Duration::from_secs(20), "the subscription over the new connection", async || {
            let log = std::fs::read_to_string(&log).unwrap();
            let of_now = format!("\"pid\": {now}}}");
            let is_asked = |line: &str| line.contains("\"resources/subscribe\"") && line.ends_with(&of_now);
            log.lines().any(is_asked).then_some(())
        })
        .await;
        all.call("s_touch", &json!({ "uri": OWN })).await;
        assert_eq!(stream.message(UPDATED).await["params"]["uri"], under("s"));
        assert_eq!(listener.message(UPDATED).await["params"]["uri"], under("s"));
    }
}

#[tokio::test]
async fn changed_prompts_and_resources_are_told_where_all_servers_stand_in_either_era() {
    let mut config =
        json!({ "mcpServers": { "s": telling(&["--prompts", "one"]), "silent": servers::scripted(&[]) } });
    let gateway = Gateway::with(config.clone()).start().await;
    gateway.listed(&["s", "silent"]).await;
    let all = Session::open(&gateway, "/mcp").await;
    let mut stream = all.stream(&gateway, "/mcp").await;
    let everything =
        json!({ "toolsListChanged": true, "promptsListChanged": true, "resourcesListChanged": true });
    let (mut listener, told) = Events::listen(&gateway, "/mcp", &everything).await;
    assert_eq!(told, everything);
    let (mut tools_alone, _) = Events::listen(&gateway, "/mcp", &json!({ "toolsListChanged": true })).await;
    for (kind, method) in [("prompts", PROMPTS), ("resources", RESOURCES)] {
        all.call("s_change", &json!({ "kind": kind })).await;
        stream.message(method).await;
        let told = listener.message(method).await;
        assert_eq!(told["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"], 1, "{told}");
    }
    // A server that comes with a new configuration brings its prompts and resources.
    config["mcpServers"]["new"] = telling(&["--prompts", "two"]);
    gateway.reload(&config).await;
    for stream in [&mut stream, &mut listener] {
        stream.message(PROMPTS).await;
        stream.message(RESOURCES).await;
    }
    let listed = all.result("prompts/list", &json!({})).await;
    assert_eq!(crate::support::mcp::names(&listed["prompts"]), ["new_two", "s_one"]);
    tools_alone.message("notifications/tools/list_changed").await;
    assert!(
        !tools_alone.text.contains(PROMPTS) && !tools_alone.text.contains(RESOURCES),
        "{}",
        tools_alone.text
    );
}

#[tokio::test]
async fn what_all_servers_declare_together_is_what_those_have_that_the_key_sees() {
    let config = json!({
        "mcpServers": {
            "telling": telling(&["--prompts", "a"]),
            "offering": servers::entry("offering_server.py", &["--prompts", "a"]),
            "bare": servers::scripted(&[]),
        },
        "apiKeys": {
            "all": "key-all",
            "offering": { "key": "key-offering", "servers": ["offering"] },
            "bare": { "key": "key-bare", "servers": ["bare"] },
        },
    });
    let gateway = Gateway::with(config).start().await;
    for (key, expected) in [
        (
            "key-all",
            json!({
                "tools": { "listChanged": true }, "prompts": { "listChanged": true },
                "resources": { "subscribe": true, "listChanged": true }, "logging": {},
            }),
        ),
        ("key-offering", json!({ "tools": { "listChanged": true }, "prompts": {}, "resources": {} })),
        ("key-bare", json!({ "tools": { "listChanged": true } })),
    ] {
        let ask = || gateway.ask("POST", "/mcp").header("Authorization", &format!("Bearer {key}"));
        let session = Session::open_with(ask()).await;
        assert_eq!(session.introduction["capabilities"], expected, "{key}");
        let discovered = stateless(ask(), "server/discover", &json!({})).send().await.ok();
        assert_eq!(discovered["result"]["capabilities"], expected, "{key}");
        // What is not declared is not done, and what a key does not open is not there.
        let error = session.answer("resources/subscribe", &json!({ "uri": under("telling") })).await.json();
        let code = &error["error"]["code"];
        match key {
            "key-all" => assert!(code.is_null(), "{error}"),
            _ => assert_eq!(code, -32601, "{error}"),
        }
    }
}

#[tokio::test]
async fn a_real_servers_updates_of_a_resource_are_told_where_all_servers_stand() {
    let Some(everything) = provisioned::node_entry("mcp-server-everything") else { return };
    let gateway = Gateway::serving(json!({ "everything": everything })).start().await;
    gateway.listed(&["everything"]).await;
    let all = Session::open(&gateway, "/mcp").await;
    assert_eq!(
        all.introduction["capabilities"]["resources"],
        json!({ "subscribe": true, "listChanged": true })
    );
    let uri = "mcpo://everything/demo://resource/dynamic/text/1";
    let mut stream = all.stream(&gateway, "/mcp").await;
    let (mut listener, told) =
        Events::listen(&gateway, "/mcp", &json!({ "resourceSubscriptions": [uri] })).await;
    assert_eq!(told, json!({ "resourceSubscriptions": [uri] }));
    all.result("resources/subscribe", &json!({ "uri": uri })).await;
    all.call("everything_toggle-subscriber-updates", &json!({})).await;
    assert_eq!(stream.message(UPDATED).await["params"]["uri"], uri);
    assert_eq!(listener.message(UPDATED).await["params"]["uri"], uri);
}
