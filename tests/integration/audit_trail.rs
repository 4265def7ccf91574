//! The audit trail: a record for each call on every face, rotation, and a disk that is full.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::mcp::stateless;
use crate::support::{Gateway, free_port, servers, until};

async fn started(audit: Value) -> Gateway {
    let config = json!({
        "mcpServers": { "s": servers::scripted(&[]), "gateway": { "builtin": "gateway" } },
        "audit": audit,
    });
    let gateway = Gateway::with(config).flag("--api-key", "k3y").start().await;
    gateway.ready(&["s"]).await;
    gateway
}

/// The records of the file, once there are as many.
async fn records(path: &Path, count: usize) -> Vec<Value> {
    until(Duration::from_secs(20), &format!("{count} records in {}", path.display()), async || {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let records: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        (records.len() >= count).then_some(records)
    })
    .await
}

#[tokio::test]
async fn every_call_of_every_face_has_a_record_and_no_record_has_arguments() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.jsonl");
    let gateway = started(json!({ "file": path, "arguments": "digest", "secret": "pepper" })).await;
    let ask = gateway.keyed(gateway.ask("POST", "/s/echo")).header("X-Request-Id", "first/1");
    ask.json(&json!({ "value": "hunter2" })).send().await.ok();
    let params = json!({ "name": "echo", "arguments": { "value": "hunter2" } });
    stateless(gateway.keyed(gateway.ask("POST", "/s/mcp")), "tools/call", &params).send().await.ok();
    let inner = json!({ "server": "s", "tool": "echo", "arguments": { "value": "hunter3" } });
    gateway.post("/gateway/call_tool", &inner).await.ok();
    let function = json!({ "name": "s_echo", "arguments": inner["arguments"].to_string() });
    let calls = json!([{ "id": "c1", "type": "function", "function": function }]);
    gateway.post("/v1/tools/call", &calls).await.ok();
    let found = records(&path, 5).await;
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let first = &found[0];
    assert_eq!(
        (&first["request_id"], &first["api_key_name"], &first["peer"], &first["outcome"]),
        (&json!("first/1"), &json!("default"), &json!("127.0.0.1"), &json!("ok"))
    );
    assert_eq!((&first["mcp_server"], &first["mcp_tool"]), (&json!("s"), &json!("echo")));
    assert!(first["duration_ms"].as_f64().unwrap() > 0.0 && first["result_bytes"].as_u64().unwrap() > 10);
    assert!(first["arguments"].as_str().unwrap().starts_with("hmac-sha256:"), "{first}");
    assert_eq!(first["arguments"], found[1]["arguments"], "the same arguments have the same digest");
    // The relay's inner call ends first.
    assert_eq!((&found[2]["mcp_tool"], &found[3]["mcp_tool"]), (&json!("echo"), &json!("call_tool")));
    assert_eq!((&found[4]["mcp_tool"], &found[4]["outcome"]), (&json!("echo"), &json!("ok")));
    assert_ne!(found[2]["arguments"], first["arguments"]);
    assert!(!std::fs::read_to_string(&path).unwrap().contains("hunter"));
}

#[tokio::test]
async fn a_digest_is_of_the_bytes_that_came_as_a_shell_makes_it_of_them() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.jsonl");
    let gateway = started(json!({ "file": path, "arguments": "digest" })).await;
    let texts =
        [r#"{"value":1,"more":2}"#, r#"{"value":1,"more":2}"#, r#"{"more":2,"value":1}"#, r#"{"value": 1}"#];
    for text in texts {
        let ask = gateway.keyed(gateway.ask("POST", "/s/echo")).header("Content-Type", "application/json");
        ask.body(text).send().await.ok();
    }
    let digests: Vec<Value> =
        records(&path, 4).await.iter().map(|record| record["arguments"].clone()).collect();
    // printf %s TEXT | sha256sum
    assert_eq!(
        digests,
        [
            "sha256:71910791cf081b67e8c5ee175341708dc54d89a3b8649bc0c90c766ff507cf62",
            "sha256:71910791cf081b67e8c5ee175341708dc54d89a3b8649bc0c90c766ff507cf62",
            "sha256:4178c067623bafedbe69504015916d65924c1bb6497065d61a1728b99d8105fb",
            "sha256:e1d70a18cc129fcc812ebbe309bc5197df6ffa2228c77a4a7b98653ec5605354",
        ]
    );
}

#[tokio::test]
async fn a_call_that_is_refused_before_there_is_anything_to_call_has_a_record_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.jsonl");
    let config = json!({
        "mcpServers": { "s": servers::scripted(&[]), "gateway": { "builtin": "gateway" } },
        "limits": { "bodyBytes": 2000 },
        "apiKeys": { "narrow": { "key": "n4rrow", "servers": ["gateway"] } },
        "audit": { "file": path },
    });
    let gateway = Gateway::with(config).flag("--api-key", "k3y").start().await;
    gateway.ready(&["s"]).await;
    let mut seen = 0;
    let mut record = async || {
        seen += 1;
        records(&path, seen).await.swap_remove(seen - 1)
    };
    let told = |record: &Value| {
        let text = |key: &str| record[key].as_str().unwrap_or("-").to_owned();
        let names = [text("api_key_name"), text("mcp_server"), text("mcp_tool")].join(" ");
        (names, text("outcome"), text("reason"))
    };
    let line =
        |names: &str, outcome: &str, reason: &str| (names.to_owned(), outcome.to_owned(), reason.to_owned());
    let no_tool = "no such tool for this caller";

    // Of a tool's own path.
    assert_eq!(gateway.post("/s/nothing", &json!({})).await.status, 404);
    assert_eq!(told(&record().await), line("default s nothing", "not_found", no_tool));
    assert_eq!(gateway.post("/none/pid", &json!({})).await.status, 404);
    let no_server = "no such server for this caller";
    assert_eq!(told(&record().await), line("default none pid", "not_found", no_server));
    let key = |key: &str| ("Authorization", format!("Bearer {key}"));
    let post = async |key: (&str, String), body: &Value| {
        gateway.ask("POST", "/s/echo").header(key.0, &key.1).json(body).send().await.status
    };
    assert_eq!(post(key("n4rrow"), &json!({})).await, 404);
    assert_eq!(told(&record().await), line("narrow s echo", "not_found", no_server));
    // Who has no good key makes lines in the log, and no records: the next one is of the call after them.
    assert_eq!(post(key("guessed"), &json!({})).await, 403);
    assert_eq!(post(("X-None", String::new()), &json!({})).await, 401);
    let params = json!({ "name": "echo", "arguments": {} });
    for path in ["/s/mcp", "/mcp"] {
        let stranger = gateway.ask("POST", path).header("Authorization", "Bearer guessed");
        assert_eq!(stateless(stranger, "tools/call", &params).send().await.status, 403, "{path}");
    }
    let calls = json!([{ "id": "c", "function": { "name": "s_echo", "arguments": "{}" } }]);
    assert_eq!(gateway.ask("POST", "/v1/tools/call").json(&calls).send().await.status, 401);
    gateway.logged("/s/echo refused: 403 wrong_key").await;
    assert_eq!(post(key("k3y"), &json!({ "value": "x".repeat(3000) })).await, 413);
    let large = record().await;
    assert_eq!(told(&large).0, "default s echo");
    assert!(told(&large).2.contains("larger than 2000 bytes"), "{large}");

    // Of the protocol, of the OpenAI form, and of the tool that passes calls on.
    let params = json!({ "name": "nothing", "arguments": {} });
    for (path, names) in [("/s/mcp", "default s nothing"), ("/mcp", "default - nothing")] {
        stateless(gateway.keyed(gateway.ask("POST", path)), "tools/call", &params).send().await;
        assert_eq!(told(&record().await), line(names, "not_found", no_tool));
    }
    let calls = json!([{ "id": "c", "function": { "name": "s_nothing", "arguments": "{}" } }]);
    gateway.post("/v1/tools/call", &calls).await.ok();
    assert_eq!(told(&record().await), line("default - s_nothing", "not_found", no_tool));
    gateway.post("/gateway/call_tool", &json!({ "server": "s", "tool": "nothing" })).await;
    assert_eq!(told(&record().await), line("default s nothing", "not_found", no_tool));
    assert_eq!(told(&record().await).0, "default gateway call_tool", "the call around it");

    // A failure says why, and no name that a caller makes up fills the disk.
    assert_eq!(gateway.post("/s/slow", &json!({ "seconds": "many" })).await.status, 422);
    let failed = record().await;
    assert_eq!(told(&failed).1, "bad_arguments");
    assert!(failed["reason"].as_str().unwrap().contains("schema"), "{failed}");
    assert_eq!(gateway.post(&format!("/s/{}", "n".repeat(500)), &json!({})).await.status, 404);
    assert_eq!(record().await["mcp_tool"].as_str().unwrap().len(), 128);
}

#[tokio::test]
async fn a_rotated_file_is_left_alone_and_a_new_one_begun() {
    let folder = tempfile::tempdir().unwrap();
    let (path, rotated) = (folder.path().join("audit.jsonl"), folder.path().join("audit.jsonl.1"));
    let gateway = started(json!({ "to": "file", "file": path })).await;
    gateway.post("/s/pid", &json!({})).await.ok();
    records(&path, 1).await;
    std::fs::rename(&path, &rotated).unwrap();
    gateway.hang_up();
    gateway.logged("the new configuration is served").await;
    gateway.post("/s/pid", &json!({})).await.ok();
    assert_eq!(records(&path, 1).await[0]["arguments"], Value::Null, "nothing was said of arguments");
    assert_eq!(records(&rotated, 1).await.len(), 1);
}

#[tokio::test]
async fn a_full_disk_is_told_and_counted_and_holds_up_no_call() {
    let gateway = started(json!({ "file": "/dev/full" })).await;
    for _ in 0..3 {
        gateway.post("/s/pid", &json!({})).await.ok();
    }
    gateway.logged("the audit trail /dev/full cannot be written").await;
    until(Duration::from_secs(20), "three lost records in the metrics", async || {
        let metrics = gateway.get("/metrics").await.text();
        metrics.contains("mcpo_audit_records_lost_total 3\n").then_some(())
    })
    .await;
    assert_eq!(gateway.log().matches("cannot be written").count(), 1, "told once");
}

#[tokio::test]
async fn the_trail_in_the_log_has_every_record_whatever_the_level_of_the_log() {
    for form in ["text", "json"] {
        let config = json!({ "mcpServers": { "s": servers::scripted(&[]) }, "audit": { "to": "journal" } });
        let gateway = Gateway::with(config).flag("--log-level", "error").flag("--log-format", form);
        let mut gateway = gateway.start().await;
        gateway.ready(&["s"]).await;
        for _ in 0..5 {
            gateway.post("/s/pid", &json!({})).await.ok();
        }
        gateway.stop().await;
        let log = gateway.log();
        assert_eq!(log.lines().filter(|line| line.contains("audit: {")).count(), 5, "{log}");
        if form == "json" {
            let entry: Value = serde_json::from_str(log.lines().last().unwrap()).unwrap();
            let fields = &entry["fields"];
            assert_eq!((&entry["target"], &entry["level"]), (&json!("mcpo::audit"), &json!("INFO")));
            assert_eq!((&fields["mcp_tool"], &fields["outcome"]), (&json!("pid"), &json!("ok")), "{entry}");
        }
    }
}

#[tokio::test]
async fn a_log_that_loses_lines_to_a_flood_loses_no_record() {
    let config = json!({
        "mcpServers": { "s": servers::scripted(&[]), "flood": servers::entry("flood_server.py", &[]) },
        "audit": { "to": "journal" },
        "limits": { "stderrLines": 100_000 },
    });
    // A reader that does not read for a while.
    let gateway = Gateway::with(config).after("mkfifo pipe && exec 2<>pipe").start().await;
    let mut gateway = gateway;
    gateway.listed(&["s", "flood"]).await;
    gateway.post("/flood/flood", &json!({ "lines": 40_000, "text": "y".repeat(400) })).await.ok();
    until(Duration::from_secs(30), "lines that the log has lost", async || {
        let metrics = gateway.get("/metrics").await.text();
        let lost = metrics.lines().find_map(|line| line.strip_prefix("mcpo_log_lines_dropped_total "));
        lost.is_some_and(|lost| lost != "0").then_some(())
    })
    .await;
    for _ in 0..30 {
        gateway.post("/s/pid", &json!({})).await.ok();
    }
    let metrics = gateway.get("/metrics").await.text();
    assert!(metrics.contains("mcpo_audit_records_lost_total 0\n"), "{metrics}");
    let pipe = gateway.config_file().with_file_name("pipe");
    let reading = tokio::task::spawn_blocking(move || std::fs::read(pipe).unwrap());
    gateway.stop().await;
    let log = String::from_utf8(reading.await.unwrap()).unwrap();
    let records = log.lines().filter(|line| line.contains(" INFO audit: {\"time\""));
    assert_eq!(records.filter(|line| line.contains("\"mcp_server\":\"s\"")).count(), 30);
}

#[tokio::test]
async fn the_journal_can_hold_the_trail() {
    let gateway = started(json!({ "to": "journal", "arguments": "digest" })).await;
    gateway.post("/s/pid", &json!({})).await.ok();
    gateway.logged("audit: {").await;
    gateway.logged("\"arguments\":\"sha256:").await;
}

#[tokio::test]
async fn a_trail_that_cannot_be_kept_ends_the_start() {
    for (audit, why) in [
        (json!({ "file": "/nowhere/at/all/audit.jsonl" }), "the audit trail `/nowhere/at/all/audit.jsonl`"),
        (
            json!({ "to": "journal", "arguments": "digest", "secret": "${env:NOT_SET_AT_ALL}" }),
            "`audit.secret`",
        ),
        (json!({ "to": "file" }), "`audit.file` is missing"),
        (json!({ "to": "jornal" }), "write `journal`"),
    ] {
        let config = json!({ "mcpServers": {}, "audit": audit });
        let (code, log) = Gateway::with(config).fail(free_port()).await;
        assert!(code == Some(64) && log.contains(why), "{audit}: {code:?} {log}");
    }
}
