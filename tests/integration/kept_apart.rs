//! Isolated servers: users, keys and sessions have a process or session of their own, and what it keeps.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::fake_http::{FakeHttp, Says};
use crate::support::mcp::Session;
use crate::support::{Ask, Gateway, provisioned, servers, until};
use crate::users::of_open_webui;

/// Keys of an Open WebUI with its users, of a guest, and of an admin.
fn keys() -> Value {
    json!({
        "open-webui": { "key": "key-of-webui", "openWebUi": { "secret": "shared", "users": [{}] } },
        "guest": "key-of-guest",
        "watch": { "key": "key-of-watch", "admin": true },
    })
}

async fn started(servers: Value, limits: Value) -> Gateway {
    let config = json!({ "mcpServers": servers, "apiKeys": keys(), "limits": limits });
    let gateway = Gateway::with(config).flag("--api-key", "key-of-watch-2").start().await;
    let names: Vec<String> = servers.as_object().unwrap().keys().cloned().collect();
    gateway.ready(&names.iter().map(String::as_str).collect::<Vec<_>>()).await;
    gateway
}

fn under(key: &str, ask: Ask) -> Ask {
    ask.header("Authorization", &format!("Bearer key-of-{key}"))
}

/// A request of a user of the Open WebUI, which makes another token for each.
fn of_user(user: &str, mail: &str, ask: Ask) -> Ask {
    under("webui", ask).header("X-OpenWebUI-User-Jwt", &of_open_webui("shared", (user, mail), "user", 300))
}

async fn call(gateway: &Gateway, user: &str, tool: &str, arguments: &Value) -> Value {
    let ask = of_user(user, &format!("{user}@example.test"), gateway.ask("POST", tool));
    ask.json(arguments).send().await.ok()
}

async fn status(gateway: &Gateway, key: &str, server: &str) -> Value {
    let listing = under(key, gateway.ask("GET", "/servers")).send().await.ok();
    let servers = listing["servers"].as_array().unwrap();
    servers.iter().find(|found| found["name"] == server).unwrap().clone()
}

fn names(folder: &Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

fn remembered(graph: &Value) -> Vec<&str> {
    graph["entities"].as_array().unwrap().iter().map(|entity| entity["name"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn each_user_behind_one_key_has_a_memory_that_no_other_sees_and_that_lasts() {
    let Some(command) = provisioned::node("mcp-server-memory") else { return };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("graphs/${caller}/memory.jsonl");
    let servers =
        json!({ "memory": { "command": command, "env": { "MEMORY_FILE_PATH": file }, "isolation": "user" } });
    let mut gateway = started(servers.clone(), json!({})).await;
    let learn = async |gateway: &Gateway, user: &str, what: &str| {
        let entity = json!({ "name": what, "entityType": "fact", "observations": ["of its user alone"] });
        call(gateway, user, "/memory/create_entities", &json!({ "entities": [entity] })).await;
    };
    learn(&gateway, "ann", "roses").await;
    learn(&gateway, "bob", "trains").await;
    let graph =
        async |gateway: &Gateway, user: &str| call(gateway, user, "/memory/read_graph", &json!({})).await;
    assert_eq!(remembered(&graph(&gateway, "ann").await), ["roses"]);
    assert_eq!(remembered(&graph(&gateway, "bob").await), ["trains"]);
    // A key without a user, too, and none of them is the shared one.
    let guest = under("guest", gateway.ask("POST", "/memory/read_graph")).json(&json!({})).send().await.ok();
    assert!(remembered(&guest).is_empty(), "{guest}");

    // The user is the same under another mail address.
    let moved = of_user("ann", "ann@new.test", gateway.ask("POST", "/memory/read_graph"));
    assert_eq!(remembered(&moved.json(&json!({})).send().await.ok()), ["roses"]);

    let graphs = folder.path().join("graphs");
    let callers = names(&graphs);
    assert_eq!(callers.len(), 4, "ann, bob, the guest and the gateway itself: {callers:?}");
    let is_private =
        |name: &String| graphs.join(name).metadata().unwrap().permissions().mode() & 0o777 == 0o700;
    assert!(callers.contains("gateway") && callers.iter().all(is_private), "{callers:?}");

    let seen = status(&gateway, "watch", "memory").await;
    assert_eq!((&seen["isolation"], &seen["isolated"]), (&json!("user"), &json!(3)));
    let holders = seen["holders"].as_array().unwrap();
    let held: BTreeSet<(Option<&str>, Option<&str>)> =
        holders.iter().map(|holder| (holder["key"].as_str(), holder["user"].as_str())).collect();
    let expected = [
        (Some("guest"), None),
        (Some("open-webui"), Some("ann@example.test")),
        (Some("open-webui"), Some("bob@example.test")),
    ];
    assert_eq!(held, expected.into());
    assert!(holders.iter().all(|holder| callers.contains(holder["caller"].as_str().unwrap())), "{holders:?}");
    let seen = status(&gateway, "guest", "memory").await;
    assert_eq!((&seen["isolated"], &seen["holders"]), (&json!(3), &Value::Null));
    let metrics = under("watch", gateway.ask("GET", "/metrics")).send().await.text().to_owned();
    assert!(metrics.contains("mcpo_isolated_connections{mcp_server=\"memory\"} 3\n"), "{metrics}");

    // The names are the same in another process, and so are the files.
    assert!(gateway.stop().await.success());
    let gateway = started(servers, json!({})).await;
    assert_eq!(remembered(&graph(&gateway, "ann").await), ["roses"]);
    assert_eq!(names(&graphs), callers);
}

/// The id of the process that serves the caller of `ask`.
async fn process(ask: Ask) -> i64 {
    ask.json(&json!({})).send().await.ok().as_i64().unwrap()
}

#[tokio::test]
async fn a_level_says_which_callers_share_a_process() {
    let mut by_key = servers::scripted(&[]);
    by_key["isolation"] = "key".into();
    let mut by_user = servers::scripted(&[]);
    by_user["isolation"] = "user".into();
    let all = json!({ "shared": servers::scripted(&[]), "key": by_key, "user": by_user });
    let gateway = started(all, json!({})).await;
    let of = async |server: &str| {
        let ask = || gateway.ask("POST", &format!("/{server}/pid"));
        [
            process(of_user("ann", "a@x.test", ask())).await,
            process(of_user("ann", "b@x.test", ask())).await,
            process(of_user("bob", "c@x.test", ask())).await,
            process(under("webui", ask())).await,
            process(under("guest", ask())).await,
        ]
    };
    let [ann, again, bob, webui, guest] = of("shared").await;
    assert!([again, bob, webui, guest].iter().all(|other| *other == ann));
    let [ann, again, bob, webui, guest] = of("key").await;
    assert!([again, bob, webui].iter().all(|other| *other == ann) && guest != ann);
    let [ann, again, bob, webui, guest] = of("user").await;
    assert_eq!(ann, again);
    assert_eq!(BTreeSet::from([ann, bob, webui, guest]).len(), 4);
    let shared = status(&gateway, "watch", "shared").await;
    assert_eq!((&shared["isolation"], &shared["isolated"]), (&Value::Null, &Value::Null));
}

#[tokio::test]
async fn each_session_has_a_process_that_ends_with_it_and_a_caller_without_one_has_its_own() {
    let mut entry = servers::scripted(&[]);
    entry["isolation"] = "session".into();
    let gateway = started(json!({ "s": entry }), json!({})).await;
    let open = async |path: &str| Session::open_with(under("guest", gateway.ask("POST", path))).await;
    let pid = async |session: &Session, tool: &str| -> i64 {
        let result = session.call(tool, &json!({})).await;
        result["content"][0]["text"].as_str().unwrap().parse().unwrap()
    };
    let (first, second) = (open("/s/mcp").await, open("/mcp").await);
    let (one, two) = (pid(&first, "pid").await, pid(&second, "s_pid").await);
    let rest = process(under("guest", gateway.ask("POST", "/s/pid"))).await;
    assert_eq!(BTreeSet::from([one, two, rest]).len(), 3);
    assert_eq!((pid(&first, "pid").await, pid(&second, "s_pid").await), (one, two));
    assert_eq!(process(under("guest", gateway.ask("POST", "/s/pid"))).await, rest);
    assert_eq!(status(&gateway, "watch", "s").await["isolated"], 3);
    let ended =
        under("guest", gateway.ask("DELETE", "/mcp")).header("Mcp-Session-Id", &second.id).send().await;
    assert!(ended.status < 300, "{}", ended.text());
    until(Duration::from_secs(20), "its process to end", async || {
        (status(&gateway, "watch", "s").await["isolated"] == 2).then_some(())
    })
    .await;
    assert_eq!(pid(&first, "pid").await, one);
}

#[tokio::test]
async fn a_caller_that_wants_many_processes_takes_none_from_another() {
    let mut entry = servers::scripted(&[]);
    entry["isolation"] = "session".into();
    let gateway = started(json!({ "s": entry }), json!({ "processes": 6 })).await;
    let ask = || gateway.ask("POST", "/s/pid");
    let ann = process(of_user("ann", "a@x.test", ask())).await;
    for _ in 0..8 {
        let session = Session::open_with(under("guest", gateway.ask("POST", "/s/mcp"))).await;
        assert_eq!(session.answer("tools/call", &json!({ "name": "pid" })).await.status, 200);
    }
    let holders = status(&gateway, "watch", "s").await["holders"].clone();
    let of_guest = holders.as_array().unwrap().iter().filter(|holder| holder["key"] == "guest").count();
    assert!((1..=3).contains(&of_guest), "half of six: {holders}");
    assert_eq!(process(of_user("ann", "a@x.test", ask())).await, ann);
    process(of_user("bob", "b@x.test", ask())).await;
    gateway.logged("`limits.processesPerKey`: 3").await;
}

/// The text of a result.
fn said(result: &Value) -> String {
    result.as_str().map_or_else(|| result.to_string(), str::to_owned)
}

#[tokio::test]
async fn the_second_user_of_a_browser_never_sees_the_page_of_the_first() {
    let Some(command) = provisioned::playwright() else { return };
    let folder = tempfile::tempdir().unwrap();
    let profile = folder.path().join("${caller}/profile");
    let (profile, home) = (profile.display(), folder.path());
    let entry = json!({
        "command": command, "cwd": home.join("${caller}"), "isolation": "user",
        "args": ["--headless", "--no-sandbox", "--executable-path=/usr/bin/chromium",
                 format!("--user-data-dir={profile}")],
    });
    let site = FakeHttp::start(|came| {
        let cookie = came.header("cookie").to_owned();
        let text = format!("<title>secret of ann</title><p>it came with [{cookie}]</p>");
        Some(Says::new(200, "text/html", text).with("set-cookie", "who=ann; Max-Age=3600"))
    })
    .await;
    let gateway = started(json!({ "playwright": entry }), json!({})).await;
    let url = format!("http://127.0.0.1:{}/", site.port);
    let go = async |user: &str, url: &str| {
        said(&call(&gateway, user, "/playwright/browser_navigate", &json!({ "url": url })).await)
    };
    let page =
        async |user: &str| said(&call(&gateway, user, "/playwright/browser_snapshot", &json!({})).await);
    go("ann", &url).await;
    go("ann", &url).await;
    assert!(page("ann").await.contains("it came with [who=ann]"), "{}", page("ann").await);
    let other = page("bob").await;
    assert!(!other.contains("secret of ann") && !other.contains(&url), "{other}");
    // Bob's browser has its own cookies, too.
    go("bob", &url).await;
    assert!(page("bob").await.contains("it came with []"), "{}", page("bob").await);
    go("bob", "about:blank").await;
    assert!(page("ann").await.contains("secret of ann"));
    let callers = names(home);
    assert_eq!(
        callers.iter().filter(|name| home.join(name).join("profile").is_dir()).count(),
        2,
        "{callers:?}"
    );
}
