//! `mcpo run-server` behind a socket, as a service manager runs it: one instance for each connection.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use crate::support::servers::script;
use crate::support::{Gateway, until};

/// Starts an instance for each connection, as a socket unit with `Accept=yes` does.
struct SocketUnit {
    path: PathBuf,
    instances: Arc<Mutex<Vec<Child>>>,
    _folder: tempfile::TempDir,
}

impl SocketUnit {
    fn start(flags: &[&str], environment: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("server.sock");
        let listener = UnixListener::bind(&path).unwrap();
        let instances = Arc::new(Mutex::new(Vec::new()));
        let owned = |text: &&str| (*text).to_owned();
        let flags: Vec<String> = flags.iter().map(owned).collect();
        let environment: Vec<(String, String)> =
            environment.iter().map(|(name, value)| (owned(name), owned(value))).collect();
        let started = instances.clone();
        std::thread::spawn(move || {
            for connection in listener.incoming() {
                let stream = OwnedFd::from(connection.unwrap());
                let mut command = Command::new(env!("CARGO_BIN_EXE_mcpo"));
                command
                    .arg("run-server")
                    .args(&flags)
                    .arg("--")
                    .arg("python3")
                    .arg(script("scripted_server.py"));
                command.env_remove("CREDENTIALS_DIRECTORY").envs(environment.clone());
                command.stdin(Stdio::from(stream)).stdout(Stdio::null()).stderr(Stdio::null());
                started.lock().unwrap().push(command.spawn().unwrap());
            }
        });
        Self { path, instances, _folder: folder }
    }

    fn entry(&self) -> Value {
        json!({ "socket": self.path })
    }

    /// How many instances still run; those that have ended are reaped.
    fn running(&self) -> usize {
        let mut instances = self.instances.lock().unwrap();
        instances
            .iter_mut()
            .filter_map(|instance| instance.try_wait().unwrap().is_none().then_some(()))
            .count()
    }
}

#[test]
fn the_stderr_of_a_server_behind_a_socket_is_logged_at_a_rate_too() {
    const WRITTEN: usize = 20_000;
    let (_ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    let flood = format!("import sys\nfor _ in range({WRITTEN}): sys.stderr.write('y' * 50 + '\\n')");
    let mut command = Command::new(env!("CARGO_BIN_EXE_mcpo"));
    command.args(["run-server", "--name", "a", "--", "python3", "-c", &flood]);
    let output = command.stdin(OwnedFd::from(theirs)).stdout(Stdio::null()).output().unwrap();
    let log = String::from_utf8(output.stderr).unwrap();
    let logged = log.lines().filter(|line| line.contains(" a: yyy")).count();
    let counts = log.lines().filter(|line| line.contains(" left out: its stderr is logged at 100 lines"));
    let told = counts.map(|line| line.split(" a: ").nth(1).unwrap().split(' ').next().unwrap());
    let left_out: usize = told.map(|count| count.parse::<usize>().unwrap()).sum();
    assert_eq!(logged + left_out, WRITTEN, "{log}");
    assert!((1000..3000).contains(&logged), "{logged}");
}

fn lives(pid: i64) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

#[tokio::test]
async fn the_gateway_learns_how_a_server_behind_a_socket_ended_and_it_comes_back() {
    let unit = SocketUnit::start(&["--name", "a"], &[]);
    let gateway = Gateway::serving(json!({ "a": unit.entry() })).start().await;
    gateway.listed(&["a"]).await;
    assert_eq!(gateway.post("/a/echo", &json!({ "value": 5 })).await.ok()["arguments"]["value"], 5);
    let answer = gateway.post("/a/complain", &json!({})).await;
    assert_eq!(answer.status, 502, "{}", answer.text());
    gateway.logged("the process exited with status 9").await;
    gateway.logged("the disk is on fire | leaving now").await;
    gateway.ready(&["a"]).await;
    let pid = gateway.post("/a/pid", &json!({})).await.ok().as_i64().unwrap();
    kill(Pid::from_raw(i32::try_from(pid).unwrap()), Signal::SIGKILL).unwrap();
    gateway.logged("the process was killed by signal 9").await;
    gateway.ready(&["a"]).await;
    assert_ne!(gateway.post("/a/pid", &json!({})).await.ok().as_i64().unwrap(), pid);
    until(Duration::from_secs(20), "one instance alone", async || (unit.running() == 1).then_some(())).await;
}

#[tokio::test]
async fn when_the_gateway_closes_the_socket_everything_that_the_server_started_ends() {
    let unit = SocketUnit::start(&[], &[]);
    let mut gateway = Gateway::serving(json!({ "a": unit.entry() })).start().await;
    gateway.listed(&["a"]).await;
    let server = gateway.post("/a/pid", &json!({})).await.ok().as_i64().unwrap();
    let grandchild = gateway.post("/a/fork", &json!({})).await.ok().as_i64().unwrap();
    assert!(lives(server) && lives(grandchild));
    assert!(gateway.stop().await.success());
    until(Duration::from_secs(20), "nothing to be left", async || {
        (unit.running() == 0 && !lives(server) && !lives(grandchild)).then_some(())
    })
    .await;
}

/// What the kernel makes of it is tried in the virtual machine of tests/appliance.
#[tokio::test]
async fn a_server_is_killed_before_its_wrapper_when_memory_runs_out() {
    let score = |pid: &dyn std::fmt::Display| -> i32 {
        std::fs::read_to_string(format!("/proc/{pid}/oom_score_adj")).unwrap().trim().parse().unwrap()
    };
    let unit = SocketUnit::start(&[], &[]);
    let gateway = Gateway::serving(json!({ "a": unit.entry() })).start().await;
    gateway.listed(&["a"]).await;
    let server = gateway.post("/a/pid", &json!({})).await.ok();
    let wrapper = unit.instances.lock().unwrap()[0].id();
    assert!(score(&server) > score(&wrapper), "{} and {}", score(&server), score(&wrapper));
}

#[tokio::test]
async fn the_server_gets_its_credentials_and_not_what_systemd_keeps_there() {
    let credentials = tempfile::tempdir().unwrap();
    std::fs::write(credentials.path().join("token"), "of-the-unit\n").unwrap();
    let directory = credentials.path().to_str().unwrap();
    let environment =
        [("CREDENTIALS_DIRECTORY", directory), ("INVOCATION_ID", "1"), ("MODE", "of-the-unit's-environment")];
    let unit = SocketUnit::start(&["--secret", "TOKEN=token"], &environment);
    let gateway = Gateway::serving(json!({ "a": unit.entry() })).start().await;
    gateway.listed(&["a"]).await;
    let seen = gateway.post("/a/environment", &json!({})).await.ok();
    assert_eq!((&seen["TOKEN"], &seen["MODE"]), (&json!("of-the-unit"), &environment[2].1.into()));
    assert!(seen.get("CREDENTIALS_DIRECTORY").is_none() && seen.get("INVOCATION_ID").is_none(), "{seen}");
}

#[tokio::test]
async fn each_caller_of_an_isolated_server_has_an_instance_that_knows_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("${caller}/work");
    let state = folder.path().join("${caller}/state/x");
    let environment = [("STATE", state.to_str().unwrap()), ("PLAIN", "$${caller}")];
    let unit = SocketUnit::start(&["--isolated", "--directory", directory.to_str().unwrap()], &environment);
    let mut entry = unit.entry();
    entry["isolation"] = "key".into();
    let keys = json!({ "one": "key-of-one", "two": "key-of-two" });
    let gateway = Gateway::with(json!({ "mcpServers": { "a": entry }, "apiKeys": keys }));
    let gateway = gateway.flag("--api-key", "key-of-ops").start().await;
    gateway.listed(&["a"]).await;
    let of = async |key: &str| {
        let ask = |tool: &str| {
            gateway
                .ask("POST", tool)
                .json(&json!({}))
                .header("Authorization", &format!("Bearer key-of-{key}"))
        };
        let pid = ask("/a/pid").send().await.ok().as_i64().unwrap();
        let seen = ask("/a/environment").send().await.ok();
        assert_eq!(seen["PLAIN"], "${caller}", "{seen}");
        let state = PathBuf::from(seen["STATE"].as_str().unwrap());
        let own = state.parent().unwrap().parent().unwrap().to_owned();
        assert!(state.parent().unwrap().is_dir(), "{}", state.display());
        assert_eq!(std::fs::read_link(format!("/proc/{pid}/cwd")).unwrap(), own.join("work"));
        (pid, own)
    };
    let (one, two) = (of("one").await, of("two").await);
    assert!(one.0 != two.0 && one.1 != two.1, "{one:?} {two:?}");
    assert_eq!(of("one").await, one);
    assert!(folder.path().join("gateway").is_dir(), "the gateway reads the tools as a caller of its own");
}

#[tokio::test]
async fn a_unit_for_one_caller_and_an_entry_without_isolation_do_not_go_together() {
    let unit = SocketUnit::start(&["--isolated"], &[]);
    let gateway = Gateway::serving(json!({ "a": unit.entry() })).start().await;
    let server = gateway.in_state("a", "unavailable").await;
    assert!(server["reason"].as_str().unwrap().contains("does not say for which caller"), "{server}");
}

#[tokio::test]
async fn what_was_taken_away_from_the_unit_is_the_reason_and_the_server_is_not_run() {
    let empty = tempfile::tempdir().unwrap();
    std::fs::write(empty.path().join("token"), "\n").unwrap();
    let blanked = [("CREDENTIALS_DIRECTORY", empty.path().to_str().unwrap())];
    let units = [
        ("without", SocketUnit::start(&["--secret", "TOKEN=token"], &[])),
        ("blanked", SocketUnit::start(&["--secret", "TOKEN=token"], &blanked)),
        ("open", SocketUnit::start(&["--require-isolation"], &[])),
    ];
    let entries: serde_json::Map<_, _> =
        units.iter().map(|(name, unit)| ((*name).to_owned(), unit.entry())).collect();
    let gateway = Gateway::serving(Value::Object(entries)).start().await;
    for (name, why) in [
        ("without", "CREDENTIALS_DIRECTORY is not set"),
        ("blanked", "it is empty"),
        ("open", "NoNewPrivileges"),
    ] {
        let server = gateway.in_state(name, "unavailable").await;
        let reason = server["reason"].as_str().unwrap();
        assert!(reason.contains(why) && reason.contains("security.nesting"), "{name}: {reason}");
    }
}

#[test]
fn without_a_socket_it_says_where_it_belongs() {
    let output = Command::new(env!("CARGO_BIN_EXE_mcpo"))
        .args(["run-server", "--", "true"])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("StandardInput=socket") && said.contains("Accept=yes"), "{said}");
}
