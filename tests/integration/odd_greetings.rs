//! Servers that greet as few do are used as far as what they say goes: odd answers to `initialize`, questions before it, ids
//! in other forms, and a question for the era that they do not bear.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::mcp::Session;
use crate::support::{Gateway, provisioned, servers};

fn uneven(options: &[&str]) -> Value {
    servers::entry("uneven_server.py", options)
}

/// The processes that `log` names, in the order of their first messages, with what each was asked.
fn asked(log: &Path) -> Vec<Vec<String>> {
    let mut processes: Vec<(String, Vec<String>)> = Vec::new();
    for line in std::fs::read_to_string(log).unwrap().lines() {
        let (pid, method) = line.split_once(' ').unwrap();
        match processes.last_mut().filter(|(last, _)| last == pid) {
            Some((_, methods)) => methods.push(method.to_owned()),
            None => processes.push((pid.to_owned(), vec![method.to_owned()])),
        }
    }
    processes.into_iter().map(|(_, methods)| methods).collect()
}

#[tokio::test]
async fn what_a_server_says_of_itself_is_taken_as_far_as_it_goes() {
    let good = json!({ "protocolVersion": "2025-06-18", "capabilities": { "tools": {} }, "serverInfo": { "name": "n", "version": "1" } });
    let with = |member: &str, value: Value| {
        let mut said = good.clone();
        said[member] = value;
        said
    };
    let without = |member: &str| {
        let mut said = good.clone();
        said.as_object_mut().unwrap().remove(member);
        said
    };
    let said = [
        ("nothing", json!({})),
        ("no-revision", without("protocolVersion")),
        ("number-revision", with("protocolVersion", json!(1))),
        ("later-revision", with("protocolVersion", json!("2025-12-31"))),
        ("stateless-revision", with("protocolVersion", json!("2026-07-28"))),
        ("no-info", without("serverInfo")),
        ("null-info", with("serverInfo", Value::Null)),
        ("no-version", with("serverInfo", json!({ "name": "n" }))),
        ("numbers", with("serverInfo", json!({ "name": 5, "version": 1.0, "title": 7, "icons": {} }))),
        ("no-capabilities", without("capabilities")),
        ("list-capabilities", with("capabilities", json!([]))),
        (
            "odd-capabilities",
            with(
                "capabilities",
                json!({ "tools": true, "prompts": null, "logging": [], "resources": false }),
            ),
        ),
        ("list-instructions", with("instructions", json!(["use", "me"]))),
    ];
    let entries: serde_json::Map<String, Value> = said
        .iter()
        .map(|(name, said)| ((*name).to_owned(), uneven(&["--says", &said.to_string()])))
        .collect();
    let gateway = Gateway::serving(Value::Object(entries)).start().await;
    for (name, said) in said {
        gateway.ready(&[name]).await;
        assert_eq!(gateway.post(&format!("/{name}/plain"), &json!({})).await.text(), "\"plain\"", "{name}");
        // What is passed on is as strict clients want it.
        let path = format!("/{name}/mcp");
        let greeting = Session::open(&gateway, &path).await.introduction;
        for member in ["name", "version"] {
            assert!(greeting["serverInfo"][member].is_string(), "{said}: {greeting}");
        }
        for (_, capability) in greeting["capabilities"].as_object().unwrap() {
            assert!(capability.is_object(), "{said}: {greeting}");
        }
    }
    gateway.logged("number-revision answers `initialize` with no revision").await;
    gateway.logged("later-revision answers `initialize` with 2025-12-31").await;
}

#[tokio::test]
async fn an_answer_that_is_no_object_is_named_and_costs_its_server_alone() {
    let config = json!({ "odd": uneven(&["--says", "[1]"]), "good": uneven(&[]) });
    let gateway = Gateway::serving(config).start().await;
    let state = gateway.in_state("odd", "unavailable").await;
    assert!(state["reason"].as_str().unwrap().contains("its answer is no object"), "{state}");
    gateway.ready(&["good"]).await;
}

#[tokio::test]
async fn what_a_server_asks_before_it_answers_initialize_is_answered() {
    let methods = ["ping", "roots/list", "elicitation/create", "sampling/createMessage", "no/such"];
    let name = |method: &str| method.replace('/', "-");
    let entries: serde_json::Map<String, Value> =
        methods.iter().map(|method| (name(method), uneven(&["--asks", method]))).collect();
    let gateway = Gateway::serving(Value::Object(entries)).start().await;
    for method in methods {
        gateway.ready(&[&name(method)]).await;
    }
}

#[tokio::test]
async fn ids_that_come_back_as_texts_or_fractions_are_those_that_were_sent() {
    let config = json!({ "text": uneven(&["--ids", "text"]), "fraction": uneven(&["--ids", "fraction"]) });
    let gateway = Gateway::serving(config).start().await;
    for server in ["text", "fraction"] {
        gateway.ready(&[server]).await;
        assert_eq!(gateway.post(&format!("/{server}/plain"), &json!({})).await.text(), "\"plain\"");
    }
}

#[tokio::test]
async fn a_server_that_does_not_bear_the_question_for_its_era_is_greeted_as_one_with_sessions_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let faults = [("exit", 2), ("close", 2), ("silence", 1), ("deaf", 1), ("nameless", 1)];
    let logs = faults.map(|(fault, _)| folder.path().join(fault));
    let entry = |(fault, log): (&str, &Path)| uneven(&["--question", fault, "--log", log.to_str().unwrap()]);
    let entries: serde_json::Map<String, Value> = faults
        .iter()
        .zip(&logs)
        .map(|((fault, _), log)| ((*fault).to_owned(), entry((fault, log))))
        .collect();
    let gateway = Gateway::serving(Value::Object(entries)).start().await;
    for ((fault, processes), log) in faults.into_iter().zip(&logs) {
        gateway.ready(&[fault]).await;
        assert_eq!(gateway.post(&format!("/{fault}/plain"), &json!({})).await.text(), "\"plain\"", "{fault}");
        let asked = asked(log);
        assert_eq!(asked.len(), processes, "{fault}: {asked:?}");
        assert_eq!(asked[0][0], "server/discover", "{fault}: {asked:?}");
        if processes == 2 {
            assert_eq!(asked[1][0], "initialize", "{fault}: {asked:?}");
        }
    }
    // Twenty seconds were waited before.
    assert!(gateway.started.elapsed() < Duration::from_secs(18), "{:?}", gateway.started.elapsed());
    gateway.logged("exit does not bear the question for its era").await;
    assert!(gateway.log().contains("no licence for server/discover"), "{}", gateway.log());
}

#[tokio::test]
async fn a_server_that_keeps_failing_is_not_started_twice_each_time() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let options = ["--log", log.to_str().unwrap(), "--start", "exit"];
    let gateway = Gateway::serving(json!({ "s": servers::scripted(&options) })).start().await;
    let failures = async || gateway.server("s").await["failures"].as_u64().unwrap_or_default();
    crate::support::until(Duration::from_secs(40), "three tries", async || {
        (failures().await >= 3).then_some(())
    })
    .await;
    let starts = std::fs::read_to_string(&log).unwrap().matches("\"start\"").count() as u64;
    // One more for the question; the next try may be under way.
    assert!(starts <= failures().await + 2, "{starts}");
}

#[tokio::test]
async fn a_server_that_begins_to_read_late_tells_its_era_all_the_same() {
    let Some(python) = provisioned::python() else { return };
    // The time server of the official SDK speaks both; a shell holds it back for longer than silence is borne.
    let script = r#"sleep 5; exec "$0" -m mcp_server_time"#;
    let config = json!({
        "both": { "command": "sh", "args": ["-c", script, python] },
        "old": uneven(&["--late", "5"]),
    });
    let gateway = Gateway::serving(config).start().await;
    let began = Instant::now();
    for (server, protocol) in [("both", "2026-07-28"), ("old", "2025-11-25")] {
        let state = gateway.in_state(server, "ready").await;
        assert_eq!(state["protocol"], protocol, "{state}");
    }
    assert!(began.elapsed() > Duration::from_secs(4));
    assert!(
        gateway.post("/both/get_current_time", &json!({ "timezone": "UTC" })).await.ok()["timezone"] == "UTC"
    );
}
