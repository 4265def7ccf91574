//! Reload: only what changed is touched, calls in flight end well, and a bad file changes nothing.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::mcp::{Events, Session, request};
use crate::support::{Gateway, servers, until};

fn with(servers: Value) -> Value {
    json!({ "mcpServers": servers })
}

async fn pid(gateway: &Gateway, server: &str) -> i64 {
    gateway.post(&format!("/{server}/pid"), &json!({})).await.ok().as_i64().unwrap()
}

fn lives(pid: i64) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

#[tokio::test]
async fn added_changed_and_removed_servers_are_and_the_others_are_left_alone() {
    let before = json!({ "kept": servers::scripted(&[]), "changed": servers::scripted(&[]),
        "gone": servers::scripted(&[]) });
    let gateway = Gateway::serving(before).start().await;
    gateway.listed(&["kept", "changed", "gone"]).await;
    let (kept, changed, gone) =
        (pid(&gateway, "kept").await, pid(&gateway, "changed").await, pid(&gateway, "gone").await);
    let after = json!({ "fresh": servers::scripted(&[]), "kept": servers::scripted(&[]),
        "changed": servers::scripted(&["--tools", "another"]) });
    gateway.reload(&with(after)).await;

    assert_eq!(pid(&gateway, "kept").await, kept);
    assert_ne!(pid(&gateway, "changed").await, changed);
    assert_eq!(gateway.post("/changed/another", &json!({ "value": 1 })).await.ok()["tool"], "another");
    assert!(lives(pid(&gateway, "fresh").await));
    assert_eq!(gateway.post("/gone/pid", &json!({})).await.status, 404);
    let names: Vec<Value> = gateway.servers().await.iter().map(|server| server["name"].clone()).collect();
    assert_eq!(names, ["fresh", "kept", "changed"], "the order of the new file");
    let document = gateway.get("/openapi.json").await.ok();
    assert!(document["paths"]["/changed/another"].is_object() && document["paths"]["/gone/pid"].is_null());
    for old in [changed, gone] {
        until(Duration::from_secs(20), "the old process to be gone", async || (!lives(old)).then_some(()))
            .await;
    }
    gateway.logged("- gone: ends after its last call").await;
}

#[tokio::test]
async fn new_rules_for_a_server_leave_its_process_as_it_is() {
    let entry = |more: Value| {
        let mut entry = servers::scripted(&[]);
        for (key, value) in more.as_object().unwrap() {
            entry[key] = value.clone();
        }
        with(json!({ "a": entry }))
    };
    let gateway = Gateway::with(entry(json!({}))).start().await;
    gateway.listed(&["a"]).await;
    let before = pid(&gateway, "a").await;
    gateway.reload(&entry(json!({ "disabledTools": ["ech*"], "timeout": 0.2, "concurrency": 2 }))).await;
    assert_eq!(pid(&gateway, "a").await, before);
    assert_eq!(gateway.post("/a/echo", &json!({})).await.status, 404, "a disabled tool");
    assert_eq!(gateway.post("/a/slow", &json!({ "seconds": 5 })).await.status, 504, "the new timeout");
    gateway.reload(&entry(json!({}))).await;
    gateway.post("/a/echo", &json!({})).await.ok();
    assert_eq!(pid(&gateway, "a").await, before);
}

#[tokio::test]
async fn calls_in_flight_on_changed_and_removed_servers_are_answered() {
    let before = json!({ "changed": servers::scripted(&[]), "gone": servers::scripted(&[]) });
    let gateway = Gateway::serving(before).start().await;
    gateway.listed(&["changed", "gone"]).await;
    let old = pid(&gateway, "gone").await;
    let slow = json!({ "seconds": 1.5 });
    let reload = async {
        // Both calls have reached their servers once these answer; they came after them.
        tokio::time::timeout(Duration::from_secs(20), async {
            pid(&gateway, "changed").await;
            pid(&gateway, "gone").await;
        })
        .await
        .unwrap();
        gateway.reload(&with(json!({ "changed": servers::scripted(&["--tools", "x"]) }))).await;
        assert_eq!(gateway.post("/gone/pid", &json!({})).await.status, 404);
        assert!(lives(old), "a server with a call in flight is not ended");
        gateway.post("/changed/x", &json!({})).await.ok();
    };
    let (changed, gone, ()) =
        tokio::join!(gateway.post("/changed/slow", &slow), gateway.post("/gone/slow", &slow), reload);
    assert_eq!((changed.ok(), gone.ok()), (json!("slept"), json!("slept")));
    until(Duration::from_secs(20), "the removed process to be gone", async || (!lives(old)).then_some(()))
        .await;
}

#[tokio::test]
async fn a_bad_file_keeps_the_running_configuration_and_says_why() {
    let good = with(json!({ "a": servers::scripted(&[]) }));
    let gateway = Gateway::with(good.clone()).start().await;
    gateway.listed(&["a"]).await;
    let before = pid(&gateway, "a").await;
    for (text, why) in [
        ("{ \"mcpServers\": { \"a\": { \"command\": 5 } } }", "mcpServers.a.command"),
        ("{ \"mcpServers\": ", "config.json:1"),
        ("{ \"apiKey\": \"${file:/no/such/key}\", \"mcpServers\": {} }", "/no/such/key"),
    ] {
        gateway.rewrite(text);
        gateway.hang_up();
        until(Duration::from_secs(20), "the reason in /servers", async || {
            let problems = gateway.configuration().await["problems"].to_string();
            problems.contains(why).then_some(())
        })
        .await;
        gateway.logged("the running configuration stays").await;
        assert_eq!(pid(&gateway, "a").await, before, "nothing was dropped");
        let plan = gateway.get("/servers/plan").await.ok();
        assert_eq!(plan["problems"].is_array(), !text.contains("apiKey"), "{plan}");
    }
    gateway.reload(&good).await;
    let configuration = gateway.configuration().await;
    assert!(configuration.get("problems").is_none() && configuration.get("rejectedAt").is_none());
    assert_eq!(pid(&gateway, "a").await, before);
}

#[tokio::test]
async fn keys_and_scopes_count_at_once_and_documents_follow_them() {
    let config = |keys: Value| json!({ "apiKeys": keys, "mcpServers": { "a": servers::scripted(&[]), "b": servers::scripted(&[]) } });
    let all = json!({ "key": "all-key", "admin": true });
    let gateway =
        Gateway::with(config(json!({ "all": all, "some": { "key": "old-key", "servers": ["a"] } })))
            .start()
            .await;
    let ask = |key: &str, method: &str, path: &str| {
        gateway.ask(method, path).header("Authorization", &format!("Bearer {key}")).send()
    };
    until(Duration::from_secs(60), "both servers", async || {
        let servers = ask("all-key", "GET", "/servers").await.ok();
        let ready = |index: usize| servers["servers"][index]["state"] == "ready";
        (ready(0) && ready(1)).then_some(())
    })
    .await;
    let paths = async |key: &str| {
        let document = ask(key, "GET", "/openapi.json").await.ok();
        let paths = document["paths"].as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        (paths.iter().any(|path| path.starts_with("/a/")), paths.iter().any(|path| path.starts_with("/b/")))
    };
    assert_eq!(paths("old-key").await, (true, false));
    gateway
        .rewrite(&config(json!({ "some": { "key": "new-key", "servers": ["b"] }, "all": all })).to_string());
    let plan = ask("all-key", "GET", "/servers/plan").await.ok();
    assert_eq!(plan["plan"]["settings"], json!([{ "key": "apiKeys", "effect": "at-once" }]), "{plan}");
    assert_eq!(ask("old-key", "GET", "/servers/plan").await.status, 403);
    gateway.hang_up();
    until(Duration::from_secs(20), "the new key", async || {
        (ask("new-key", "POST", "/b/pid").await.status == 200).then_some(())
    })
    .await;
    assert_eq!(ask("old-key", "POST", "/a/pid").await.status, 403);
    assert_eq!(ask("new-key", "POST", "/a/pid").await.status, 404, "not in its scope");
    assert_eq!(paths("new-key").await, (false, true));
    assert_eq!(paths("all-key").await, (true, true));
}

#[tokio::test]
async fn a_new_value_under_the_name_of_a_key_ends_the_sessions_and_streams_of_the_old_one() {
    let secret = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(secret.path(), "old").unwrap();
    let keys = json!({ "a": format!("${{file:{}}}", secret.path().display()), "b": "key-b" });
    let config = json!({ "apiKeys": keys, "mcpServers": { "s": servers::scripted(&[]) } });
    let gateway = Gateway::with(config).start().await;
    let ask = |key: &str| gateway.ask("POST", "/s/mcp").header("Authorization", &format!("Bearer {key}"));
    let (mine, other) = (Session::open_with(ask("old")).await, Session::open_with(ask("key-b")).await);
    let head =
        format!("Authorization: Bearer old\r\nMcp-Session-Id: {}\r\nAccept: text/event-stream\r\n", mine.id);
    let mut stream = Events::open(&gateway, "GET", "/s/mcp", &head, "").await;
    stream.until("\r\n\r\n").await;
    std::fs::write(secret.path(), "new").unwrap();
    gateway.hang_up();
    stream.end().await;
    gateway.logged("the key a has another value or is gone").await;
    let with =
        |key: &str| ask(key).header("Mcp-Session-Id", &mine.id).json(&request("ping", &json!({}))).send();
    assert_eq!(with("new").await.status, 404);
    assert_eq!(with("old").await.status, 403);
    assert_eq!(other.result("ping", &json!({})).await, json!({}), "a session of another key");
}

#[tokio::test]
async fn a_reload_that_would_open_the_gateway_is_refused_and_a_restart_does_it() {
    let config = |keys: Value| json!({ "apiKeys": keys, "mcpServers": { "a": servers::scripted(&[]) } });
    let (all, limited) =
        (json!({ "key": "all-key", "admin": true }), json!({ "key": "b", "servers": ["a"] }));
    let mut gateway = Gateway::with(config(json!({ "all": all, "some": limited }))).start().await;
    let ask = |path: &str| gateway.ask("GET", path).header("Authorization", "Bearer all-key").send();
    for (keys, why) in [
        (json!({}), "it would remove the last API key"),
        (json!({ "all": all }), "without a limited API key it would show all documents"),
    ] {
        let changed = config(keys.clone());
        gateway.rewrite(&changed.to_string());
        let plan = ask("/servers/plan").await.ok();
        assert_eq!(plan["plan"]["settings"], json!([{ "key": "apiKeys", "effect": "restart" }]), "{plan}");
        assert!(plan["text"].as_str().unwrap().contains(why), "{plan}");
        gateway.hang_up();
        gateway.logged(&format!("the reload is refused: {why}")).await;
        until(Duration::from_secs(20), "the refusal to stand in /servers", async || {
            let problems = ask("/servers").await.ok()["configuration"]["problems"].to_string();
            problems.contains(why).then_some(())
        })
        .await;
        assert_eq!(gateway.get("/openapi.json").await.status, 401);
        assert_eq!(gateway.post("/a/pid", &json!({})).await.status, 401);
    }
    assert!(gateway.stop().await.success());
    let open = Gateway::with(config(json!({}))).start().await;
    open.ready(&["a"]).await;
    open.post("/a/pid", &json!({})).await.ok();
}

#[tokio::test]
async fn what_needs_a_restart_is_said_and_left_as_it_is() {
    let config = |port: u16| json!({ "mcpServers": { "a": servers::scripted(&[]) }, "stateDir": format!("/tmp/{port}"), "limits": { "bodyBytes": port } });
    let gateway = Gateway::with(config(100)).start().await;
    gateway.listed(&["a"]).await;
    let body = json!({ "value": "x".repeat(150) });
    assert_eq!(gateway.post("/a/echo", &body).await.status, 413);
    gateway.reload(&config(1000)).await;
    assert_eq!(gateway.post("/a/echo", &body).await.status, 200, "a limit counts at once");
    // The command line's --state-dir wins over both files, so nothing is outstanding.
    assert!(!gateway.log().contains("only after the gateway is restarted"));
    let mut wanted = config(1000);
    wanted["log"] = json!({ "level": "debug" });
    for _ in 0..2 {
        gateway.reload(&wanted).await;
        let outstanding = gateway.get("/servers/plan").await.ok();
        assert_eq!(outstanding["plan"]["settings"], json!([{ "key": "log", "effect": "restart" }]));
    }
    gateway.logged("! log: counts only after the gateway is restarted").await;
}

#[tokio::test]
async fn hot_reload_follows_writes_renames_and_swapped_links() {
    let config = |name: &str| with(json!({ name: servers::scripted(&[]) })).to_string();
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    // As Kubernetes mounts a map: the file is a link into a folder that is a link itself.
    for version in ["one", "two"] {
        std::fs::create_dir(path(version)).unwrap();
        std::fs::write(path(version).join("config.json"), config(version)).unwrap();
    }
    std::os::unix::fs::symlink("one", path("data")).unwrap();
    std::os::unix::fs::symlink("data/config.json", path("config.json")).unwrap();
    let gateway = Gateway::bare()
        .flag("--config", path("config.json").to_str().unwrap())
        .switch("--hot-reload")
        .start()
        .await;
    gateway.ready(&["one"]).await;
    let served = async |name: &str| {
        until(Duration::from_secs(30), &format!("{name} to be the only server"), async || {
            let servers = gateway.servers().await;
            (servers.len() == 1 && servers[0]["name"] == name).then_some(())
        })
        .await;
    };
    std::os::unix::fs::symlink("two", path("data.new")).unwrap();
    std::fs::rename(path("data.new"), path("data")).unwrap();
    served("two").await;
    std::fs::write(path("draft"), config("three")).unwrap();
    std::fs::rename(path("draft"), path("config.json")).unwrap();
    served("three").await;
    std::fs::write(path("config.json"), config("four")).unwrap();
    served("four").await;
    std::fs::remove_file(path("config.json")).unwrap();
    gateway.logged("the running configuration stays").await;
    served("four").await;
    std::fs::write(path("config.json"), config("five")).unwrap();
    served("five").await;
}

#[tokio::test]
async fn a_rotated_secret_starts_its_server_anew_and_no_other() {
    let secret = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(secret.path(), "first").unwrap();
    let mut holder = servers::scripted(&[]);
    holder["env"] = json!({ "TOKEN": format!("${{file:{}}}", secret.path().display()) });
    let config = with(json!({ "holder": holder, "other": servers::scripted(&[]) }));
    let gateway = Gateway::with(config.clone()).start().await;
    gateway.listed(&["holder", "other"]).await;
    let token = async || gateway.post("/holder/environment", &json!({})).await.ok()["TOKEN"].clone();
    let (other, holder) = (pid(&gateway, "other").await, pid(&gateway, "holder").await);
    gateway.reload(&config).await;
    assert_eq!((token().await, pid(&gateway, "holder").await), (json!("first"), holder), "nothing changed");
    std::fs::write(secret.path(), "second").unwrap();
    gateway.reload(&config).await;
    assert_eq!((token().await, pid(&gateway, "other").await), (json!("second"), other));
    std::fs::remove_file(secret.path()).unwrap();
    gateway.reload(&config).await;
    assert_eq!(token().await, "second", "what runs goes on when its secret cannot be read again");
}
