//! The commands for operators without a gateway: they start the servers that they need, answer as a gateway would, and leave nothing behind.

use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use crate::support::operator::{command, configuration, mcpo};
use crate::support::{Gateway, provisioned, servers, until};

/// Whether the process lives; one that only waits to be reaped does not.
fn lives(process: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    kill(Pid::from_raw(process), None).is_ok() && !stat.contains(") Z ")
}

fn children(process: u32) -> Vec<i32> {
    let tasks = std::fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten();
    let lists = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok());
    lists
        .flat_map(|list| list.split_whitespace().map(|id| id.parse().unwrap()).collect::<Vec<i32>>())
        .collect()
}

#[tokio::test]
async fn both_doors_give_the_same() {
    let (Some(time), Some(everything)) =
        (provisioned::time(), provisioned::node_entry("mcp-server-everything"))
    else {
        return;
    };
    let list = json!({ "time": time, "everything": everything });
    let folder = tempfile::tempdir().unwrap();
    let file = configuration(folder.path(), &list);
    let gateway = Gateway::serving(list).start().await;
    gateway.listed(&["time", "everything"]).await;
    for words in [
        ["tools", "time"].as_slice(),
        &["tools", "everything"],
        &["openapi", "time"],
        &["openapi", "everything"],
        &["openapi"],
        &["call", "everything", "get-sum", "a=2", "b=40"],
        &["call", "everything", "get-tiny-image", "--raw"],
        &[
            "call",
            "time",
            "convert_time",
            "source_timezone=UTC",
            "time=12:00",
            "target_timezone=Asia/Tokyo",
            "--raw",
        ],
    ] {
        let there = gateway.operator(words).await;
        let here = mcpo(&[words, &["--config", &file]].concat()).await;
        // The document of all servers differs where the server's own name for itself comes in late.
        assert_eq!(here.ok(), there.ok(), "{words:?}");
    }
    for words in [
        ["call", "time", "get_current_time", "timezone=Mars"].as_slice(),
        &["call", "time", "x"],
        &["tools", "tim"],
    ] {
        let there = gateway.operator(words).await;
        let here = mcpo(&[words, &["--config", &file]].concat()).await;
        assert_eq!(here.failed(1), there.failed(1), "{words:?}");
    }
    let here = mcpo(&["tools", "--json", "--config", &file]).await.json();
    let there = gateway.operator(&["tools", "--json"]).await.json();
    let tools = |list: &Value| json!([list[0]["tools"], list[1]["tools"]]);
    assert_eq!(tools(&here), tools(&there));
}

#[tokio::test]
async fn a_command_behind_two_dashes_is_the_only_server() {
    let script = servers::script("scripted_server.py");
    let script = script.to_str().unwrap();
    let echoed = mcpo(&["call", "echo", "value=1", "--", "python3", script]).await.json();
    assert_eq!(echoed["arguments"], json!({ "value": "1" }));
    let tools = mcpo(&["tools", "--", "python3", script, "--tools", "further"]).await;
    assert!(tools.ok().starts_with("python3: ready") && tools.out.contains("\n  further"), "{}", tools.out);
    let document = mcpo(&["openapi", "--", "python3", script]).await.json();
    assert!(document["paths"]["/echo"].is_object(), "{document}");
    let broken = mcpo(&["tools", "--", "python3", script, "--start", "exit"]).await;
    assert_eq!((broken.code, broken.out.as_str()), (Some(1), "python3: unavailable\n"));
    assert!(
        broken.err.contains("exited with status 7") && broken.err.contains("no licence"),
        "{}",
        broken.err
    );
    let given = mcpo(&["call", "environment", "-e", "GIVEN=hunter2", "--", "python3", script]).await.json();
    assert_eq!(given["GIVEN"], "hunter2");
    for (words, told) in [
        (["tools", "python3"].as_slice(), "leave the name of a SERVER out"),
        (&["call", "echo", "--url", "http://h"], "--url"),
        (&["tools", "--config", "c.json"], "--config"),
    ] {
        let done = mcpo(&[words, &["--", "python3", script]].concat()).await;
        assert!(done.failed(2).contains(told), "{words:?}: {}", done.err);
    }
}

#[tokio::test]
async fn only_the_server_that_is_named_is_started_and_no_key_is_wanted() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let other = servers::scripted(&["--log", log.to_str().unwrap()]);
    let path = folder.path().join("config.json");
    let config = json!({
        "mcpServers": { "named": servers::scripted(&[]), "other": other },
        "apiKeys": { "a": { "key": "${file:/none/hunter2}", "servers": ["other"] } },
        "stateDir": folder.path().join("state"),
        "pathPrefix": "/behind",
    });
    std::fs::write(&path, config.to_string()).unwrap();
    let path = path.to_str().unwrap();
    mcpo(&["call", "named", "echo", "--config", path]).await.ok();
    assert!(mcpo(&["tools", "named", "--config", path]).await.ok().starts_with("named: ready"));
    mcpo(&["openapi", "named", "--config", path]).await.json();
    assert!(mcpo(&["tools", "nmed", "--config", path]).await.failed(1).contains("The servers: named, other"));
    assert!(!log.exists(), "the other server was started");
    assert!(mcpo(&["tools", "--config", path]).await.ok().contains("\nother: ready"));
    assert!(log.exists() && !folder.path().join("state").exists());
}

#[tokio::test]
async fn problems_of_a_file_are_told_as_the_check_tells_them_and_nothing_is_started() {
    let folder = tempfile::tempdir().unwrap();
    let path = configuration(folder.path(), &json!({ "a": { "command": 5 }, "docs": { "command": "x" } }));
    for words in [["tools"].as_slice(), &["call", "a", "t"], &["openapi"]] {
        let done = mcpo(&[words, &["--config", &path]].concat()).await;
        let told = done.failed(64);
        assert!(
            told.starts_with("error: ")
                && told.contains("mcpServers.a.command")
                && told.contains("mcpServers.docs"),
            "{told}"
        );
    }
}

#[tokio::test]
async fn the_log_is_silent_unless_it_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = configuration(folder.path(), &json!({ "s": servers::scripted(&[]) }));
    let silent = mcpo(&["call", "s", "echo", "--config", &path]).await;
    silent.ok();
    let loud = mcpo(&["call", "s", "echo", "value=1", "--config", &path, "--log-level", "info"]).await;
    assert_eq!(loud.code, Some(0));
    assert_eq!(loud.out.replace("\"value\": \"1\"", ""), silent.out);
    assert!(loud.err.contains("s is ready"), "{}", loud.err);
    let both = mcpo(&["tools", "--config", &path, "-q", "--log-level", "info"]).await;
    assert_eq!(both.code, Some(2), "{}", both.err);
}

#[tokio::test]
async fn no_process_is_left_behind() {
    let folder = tempfile::tempdir().unwrap();
    let path = configuration(folder.path(), &json!({ "s": servers::scripted(&[]) }));
    for tool in ["pid", "fork"] {
        let answer = mcpo(&["call", "s", tool, "--config", &path]).await.json();
        let process = i32::try_from(answer.as_i64().unwrap()).unwrap();
        // The kernel takes a moment for what was killed.
        until(Duration::from_secs(5), &format!("the end of the process of {tool}"), async || {
            (!lives(process)).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn an_interrupt_ends_the_servers_before_the_command() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let entry = servers::scripted(&["--log", log.to_str().unwrap()]);
    let path = configuration(folder.path(), &json!({ "s": entry }));
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let mut command = command(&["call", "s", "slow", "seconds=60", "--config", &path]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        until(Duration::from_secs(20), "the call to reach its server", async || {
            std::fs::read_to_string(&log).is_ok_and(|log| log.contains("tools/call")).then_some(())
        })
        .await;
        let servers = children(child.id());
        assert_eq!(servers.len(), 1);
        kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), signal).unwrap();
        until(Duration::from_secs(20), "the end of the command", async || {
            child.try_wait().unwrap().map(drop)
        })
        .await;
        assert!(!lives(servers[0]), "the server outlives the command");
        let output = child.wait_with_output().unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(130), b"".as_slice()), "{told}");
        assert!(told.contains("interrupted"), "{told}");
        std::fs::remove_file(&log).unwrap();
    }
}
