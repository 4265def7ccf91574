//! Child processes: their environment, their groups, their ends.

use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use crate::chaos::process;
use crate::support::{Gateway, servers, until};

fn number(value: &Value) -> i32 {
    i32::try_from(value.as_i64().unwrap_or_else(|| panic!("no process id: {value}"))).unwrap()
}

/// Whether the process lives; one that only waits to be reaped does not.
fn lives(process: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    kill(Pid::from_raw(process), None).is_ok() && !stat.contains(") Z ")
}

async fn gone(process: i32) {
    until(Duration::from_secs(20), &format!("the end of process {process}"), async || {
        (!lives(process)).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_killed_child_comes_back_and_its_sister_notices_nothing() {
    let config = json!({ "a": servers::quirk(&["behave"]), "b": servers::quirk(&["behave"]) });
    let gateway = Gateway::serving(config).start().await;
    gateway.ready(&["a", "b"]).await;
    let (a, b) =
        (gateway.post("/a/pid", &json!({})).await.ok(), gateway.post("/b/pid", &json!({})).await.ok());
    kill(Pid::from_raw(number(&a)), Signal::SIGKILL).unwrap();
    let new = until(Duration::from_secs(20), "another child", async || {
        let answer = gateway.post("/a/pid", &json!({})).await;
        (answer.status == 200 && answer.json() != a).then(|| answer.json())
    })
    .await;
    assert_ne!(new, a);
    assert_eq!(gateway.post("/b/pid", &json!({})).await.ok(), b);
}

#[tokio::test]
async fn children_and_what_they_started_end_with_the_gateway() {
    let stubborn = servers::scripted(&["--start", "stubborn"]);
    let config = json!({ "plain": servers::scripted(&[]), "stubborn": stubborn });
    let mut gateway = Gateway::serving(config).start().await;
    gateway.ready(&["plain", "stubborn"]).await;
    let mut processes = Vec::new();
    for server in ["plain", "stubborn"] {
        for tool in ["pid", "fork"] {
            processes.push(number(&gateway.post(&format!("/{server}/{tool}"), &json!({})).await.ok()));
        }
    }
    assert!(processes.iter().all(|process| lives(*process)), "{processes:?}");
    assert_eq!(gateway.stop().await.code(), Some(0));
    for process in processes {
        gone(process).await;
    }
}

#[tokio::test]
async fn children_end_with_a_gateway_that_is_killed_whatever_they_heed() {
    let stubborn = servers::scripted(&["--start", "stubborn"]);
    let deaf = json!({ "command": "sleep", "args": ["300"] });
    let config = json!({ "plain": servers::scripted(&[]), "stubborn": stubborn, "deaf": deaf });
    let gateway = Gateway::serving(config).start().await;
    gateway.ready(&["plain", "stubborn"]).await;
    let mut children = Vec::new();
    for server in ["plain", "stubborn"] {
        children.push(number(&gateway.post(&format!("/{server}/pid"), &json!({})).await.ok()));
    }
    let sleeping = until(Duration::from_secs(20), "the deaf child to have become its program", async || {
        let children = process::children(gateway.pid());
        children
            .into_iter()
            .find(|child| process::command(*child).is_some_and(|words| words == ["sleep", "300"]))
    });
    children.push(sleeping.await.as_raw());
    gateway.signal(Signal::SIGKILL);
    for child in children {
        gone(child).await;
    }
}

/// The kernel takes the end of the thread that started a child for the end of its parent, and idle threads of the
/// runtime end after ten seconds.
#[tokio::test]
async fn a_child_outlives_the_threads_that_were_there_when_it_was_started() {
    let gateway = Gateway::serving(json!({ "s": servers::scripted(&[]) })).start().await;
    gateway.ready(&["s"]).await;
    let child = gateway.post("/s/pid", &json!({})).await.ok();
    kill(Pid::from_raw(number(&child)), Signal::SIGKILL).unwrap();
    let again = until(Duration::from_secs(20), "another child", async || {
        let answer = gateway.post("/s/pid", &json!({})).await;
        (answer.status == 200 && answer.json() != child).then(|| answer.json())
    })
    .await;
    tokio::time::sleep(Duration::from_secs(31)).await;
    assert_eq!(gateway.post("/s/pid", &json!({})).await.ok(), again);
    assert!(lives(number(&again)));
}

#[tokio::test]
async fn a_command_that_cannot_be_started_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("not-executable");
    std::fs::write(&file, "").unwrap();
    let mut elsewhere = servers::scripted(&[]);
    elsewhere["cwd"] = json!(folder.path().join("missing"));
    let config = json!({
        "missing": { "command": "no-such-program-anywhere" },
        "denied": { "command": file },
        "line": { "command": "python3 -m server" },
        "elsewhere": elsewhere,
    });
    let gateway = Gateway::serving(config).start().await;
    for (server, why) in [
        ("missing", "command `no-such-program-anywhere` cannot be started: no such program; give its path"),
        ("denied", "Permission denied"),
        ("line", "a command line's other words belong into `args`"),
        ("elsewhere", "missing`, does not exist"),
    ] {
        let state = gateway.in_state(server, "unavailable").await;
        assert!(state["reason"].to_string().contains(why), "{state}");
    }
}

#[tokio::test]
async fn what_a_dead_child_leaves_behind_is_ended_too() {
    let gateway = Gateway::serving(json!({ "s": servers::scripted(&[]) })).start().await;
    gateway.ready(&["s"]).await;
    let grandchild = number(&gateway.post("/s/fork", &json!({})).await.ok());
    let child = number(&gateway.post("/s/pid", &json!({})).await.ok());
    assert!(lives(grandchild));
    kill(Pid::from_raw(child), Signal::SIGKILL).unwrap();
    gone(grandchild).await;
}

#[tokio::test]
async fn a_child_sees_only_what_it_was_given() {
    let mut given = servers::scripted(&[]);
    given["env"] = json!({ "GIVEN": "${env:SOURCE_OF_GIVEN}", "PLAIN": "p" });
    given["passEnv"] = json!(["PASSED"]);
    let gateway = Gateway::serving(json!({ "given": given, "bare": servers::scripted(&[]) }))
        .environment("SOURCE_OF_GIVEN", "from the gateway")
        .environment("PASSED", "on")
        .environment("OTHER_SECRET", "never")
        .start()
        .await;
    gateway.ready(&["given", "bare"]).await;
    let given = gateway.post("/given/environment", &json!({})).await.ok();
    assert_eq!(
        (&given["GIVEN"], &given["PLAIN"], &given["PASSED"]),
        (&json!("from the gateway"), &json!("p"), &json!("on"))
    );
    assert!(given.get("PATH").is_some() && given.get("OTHER_SECRET").is_none(), "{given}");
    let bare = gateway.post("/bare/environment", &json!({})).await.ok();
    for name in ["GIVEN", "PLAIN", "PASSED", "OTHER_SECRET", "SOURCE_OF_GIVEN"] {
        assert!(bare.get(name).is_none(), "{name} leaked: {bare}");
    }
    assert!(!gateway.log().contains("from the gateway"), "a secret stands in the log");
}

#[tokio::test]
async fn an_env_file_that_appears_later_heals_its_server_and_stays_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("server.env");
    let mut filed = servers::scripted(&[]);
    filed["envFile"] = json!(path);
    filed["env"] = json!({ "PLAIN": "entry" });
    let gateway = Gateway::serving(json!({ "filed": filed, "bare": servers::scripted(&[]) })).start().await;
    let waiting = gateway.in_state("filed", "unavailable").await;
    assert!(waiting["reason"].to_string().contains("server.env` cannot be read: No such file"), "{waiting}");
    std::fs::write(&path, "FILED='from the file'\nPLAIN=file\n").unwrap();
    gateway.ready(&["filed", "bare"]).await;
    let given = gateway.post("/filed/environment", &json!({})).await.ok();
    assert_eq!((&given["FILED"], &given["PLAIN"]), (&json!("from the file"), &json!("entry")));
    let bare = gateway.post("/bare/environment", &json!({})).await.ok();
    assert!(bare.get("FILED").is_none(), "leaked: {bare}");
    assert!(!gateway.log().contains("from the file"), "a value of the file stands in the log");
}

#[tokio::test]
async fn a_call_in_flight_is_finished_before_the_gateway_ends() {
    let mut gateway = Gateway::serving(json!({ "s": servers::scripted(&[]) })).start().await;
    gateway.ready(&["s"]).await;
    let ask = gateway.ask("POST", "/s/slow").json(&json!({ "seconds": 1.5 }));
    let call = tokio::spawn(ask.send());
    // In flight once the other call, sent after it, was answered.
    gateway.post("/s/pid", &json!({})).await.ok();
    let status = gateway.stop().await;
    assert_eq!(call.await.unwrap().ok(), "slept");
    assert_eq!(status.code(), Some(0));
}
