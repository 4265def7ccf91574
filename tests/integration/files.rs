//! Files that are not what they should be: pipes without a writer, devices, folders, links. Each is a reason at what
//! needs it; everything else is served, and the process can always be ended.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rustix::fs::{CWD, FileType, Mode, mknodat};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{Gateway, free_port, servers, until};

const SOON: Duration = Duration::from_secs(10);

fn make_fifo(path: &Path) {
    mknodat(CWD, path, FileType::Fifo, Mode::RWXU, 0).unwrap();
}

fn fifo(folder: &TempDir, name: &str) -> PathBuf {
    let path = folder.path().join(name);
    make_fifo(&path);
    path
}

/// A server whose variable TOKEN comes from the file.
fn with_token(path: &Path) -> Value {
    let mut server = servers::scripted(&[]);
    server["env"] = json!({ "TOKEN": format!("${{file:{}}}", path.display()) });
    server
}

async fn token(gateway: &Gateway, server: &str) -> Value {
    gateway.post(&format!("/{server}/environment"), &json!({})).await.ok()["TOKEN"].clone()
}

#[tokio::test]
async fn a_secret_that_does_not_come_is_a_reason_at_its_server_alone() {
    let folder = TempDir::new().unwrap();
    let silent = fifo(&folder, "fifo");
    let huge = folder.path().join("huge");
    fs::File::create(&huge).unwrap().set_len(10 << 30).unwrap();
    let mut with_file = servers::scripted(&[]);
    with_file["envFile"] = json!(silent);
    let gateway = Gateway::serving(json!({
        "fifo": with_token(&silent),
        "envfile": with_file,
        "device": with_token(Path::new("/dev/zero")),
        "folder": with_token(folder.path()),
        "huge": with_token(&huge),
        "good": servers::scripted(&[]),
    }));
    let mut gateway = gateway.start().await;
    gateway.ready(&["good"]).await;
    gateway.post("/good/pid", &json!({})).await.ok();
    for (server, reason) in [
        ("fifo", "it is a pipe, and its writer does not come to an end"),
        ("envfile", "it is a pipe, and its writer does not come to an end"),
        ("device", "it is a device"),
        ("folder", "it is a directory"),
        ("huge", "it is longer than"),
    ] {
        let told = gateway.in_state(server, "unavailable").await["reason"].to_string();
        assert!(told.contains(reason), "{server}: {told}");
    }
    let asked = Instant::now();
    assert!(gateway.stop().await.success());
    assert!(asked.elapsed() < SOON, "{:?}", asked.elapsed());
}

#[tokio::test]
async fn a_named_pipe_gives_its_secret_to_the_start_alone() {
    let folder = TempDir::new().unwrap();
    let pipe = fifo(&folder, "fifo");
    let writer = pipe.clone();
    // It returns when it was read, once.
    let writing = std::thread::spawn(move || fs::write(writer, "from the pipe\n").unwrap());
    let config = json!({ "mcpServers": { "s": with_token(&pipe) } });
    let gateway = Gateway::with(config.clone()).start().await;
    gateway.ready(&["s"]).await;
    writing.join().unwrap();
    assert_eq!(token(&gateway, "s").await, "from the pipe");
    gateway.reload(&config).await;
    assert_eq!(token(&gateway, "s").await, "from the pipe", "a reload does not wait for another writer");
}

#[tokio::test]
async fn what_a_shell_gives_in_place_of_a_file_is_good_for_reloads_and_further_starts() {
    // A short text given to a descriptor is a pipe, as `<(command)` is.
    let shell = "exec 7<<E\nkey of a pipe\nE\nexec 8<<E\ntoken of a pipe\nE";
    let config = |more: &str| {
        json!({ "apiKeys": { "a": "${file:/dev/fd/7}" }, "name": more,
            "mcpServers": { "s": with_token(Path::new("/dev/fd/8")) } })
    };
    let gateway = Gateway::with(config("one")).after(shell).start().await;
    let post = async |tool: &str| {
        let ask = gateway.ask("POST", tool).header("Authorization", "Bearer key of a pipe");
        ask.json(&json!({})).send().await
    };
    let pid = until(SOON, "the server to be ready", async || {
        let answer = post("/s/pid").await;
        (answer.status == 200).then(|| answer.ok().as_i64().unwrap())
    })
    .await;
    gateway.rewrite(&config("two").to_string());
    gateway.hang_up();
    gateway.logged("the new configuration is served").await;
    kill(Pid::from_raw(i32::try_from(pid).unwrap()), Signal::SIGKILL).unwrap();
    let token = until(SOON, "the server to be started again", async || {
        let answer = post("/s/environment").await;
        (answer.status == 200).then(|| answer.ok()["TOKEN"].clone())
    })
    .await;
    assert_eq!(token, "token of a pipe");
}

#[tokio::test]
async fn a_reload_that_waits_for_a_file_holds_up_neither_calls_nor_the_end() {
    let folder = TempDir::new().unwrap();
    let mut gateway = Gateway::serving(json!({ "s": servers::scripted(&[]) })).start().await;
    gateway.ready(&["s"]).await;
    fs::remove_file(gateway.config_file()).unwrap();
    make_fifo(&gateway.config_file());
    gateway.hang_up();
    gateway.logged("it is a pipe, and its writer does not come to an end").await;
    gateway.logged("the running configuration stays").await;
    gateway.post("/s/pid", &json!({})).await.ok();
    let keys = json!({ "apiKeys": { "a": format!("${{file:{}}}", fifo(&folder, "key").display()) },
        "mcpServers": { "s": servers::scripted(&[]) } });
    gateway.rewrite(&keys.to_string());
    gateway.hang_up();
    gateway.logged("apiKeys: counts at once").await;
    gateway.post("/s/pid", &json!({})).await.ok();
    let asked = Instant::now();
    assert!(gateway.stop().await.success());
    assert!(asked.elapsed() < Duration::from_secs(4), "{:?}", asked.elapsed());
}

fn started(folder: &TempDir, config: &Value) -> Child {
    let file = folder.path().join("config.json");
    fs::write(&file, config.to_string()).unwrap();
    let log = fs::File::create(folder.path().join("log")).unwrap();
    Command::new(env!("CARGO_BIN_EXE_mcpo"))
        .args(["--port", &free_port().to_string(), "--config"])
        .arg(&file)
        .arg("--state-dir")
        .arg(folder.path().join("state"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .unwrap()
}

fn has_open(process: &Child, path: &Path) -> bool {
    let open = fs::read_dir(format!("/proc/{}/fd", process.id())).into_iter().flatten().flatten();
    let mut links = open.filter_map(|entry| fs::read_link(entry.path()).ok());
    links.any(|link| link == path)
}

#[tokio::test]
async fn a_start_that_waits_for_a_file_ends_when_it_is_told_to_and_by_itself_with_a_reason() {
    let folder = TempDir::new().unwrap();
    let path = fifo(&folder, "fifo");
    let reference = format!("${{file:{}}}", path.display());
    for config in [
        json!({ "apiKey": reference, "mcpServers": {} }),
        json!({ "audit": { "to": "journal", "arguments": "digest", "secret": reference }, "mcpServers": {} }),
        json!({ "tls": { "certificate": path, "key": path }, "mcpServers": {} }),
        json!({ "lock": { "file": path }, "mcpServers": {} }),
    ] {
        for told in [Some(Signal::SIGTERM), Some(Signal::SIGINT), None] {
            let mut process = started(&folder, &config);
            let began = Instant::now();
            if let Some(signal) = told {
                until(SOON, "the file to be waited for", async || has_open(&process, &path).then_some(()))
                    .await;
                kill(Pid::from_raw(i32::try_from(process.id()).unwrap()), signal).unwrap();
            }
            let status = until(SOON + SOON, "the process to end", async || process.try_wait().unwrap()).await;
            let log = fs::read_to_string(folder.path().join("log")).unwrap();
            match told {
                Some(_) => assert_eq!(status.code(), Some(0), "{config}: {log}"),
                None => {
                    assert!(matches!(status.code(), Some(1 | 64)), "{config}: {status} {log}");
                    assert!(log.contains("its writer does not come to an end"), "{config}: {log}");
                    assert!(began.elapsed() < SOON + SOON, "{:?}", began.elapsed());
                }
            }
        }
    }
}

#[tokio::test]
async fn odd_things_in_the_state_directory_cost_what_is_kept_and_nothing_else() {
    let folder = TempDir::new().unwrap();
    let state = folder.path().join("state");
    let victim = folder.path().join("victim");
    let config = json!({ "s": servers::scripted(&[]) });
    let mut first = Gateway::serving(config.clone()).state(&state).start().await;
    first.ready(&["s"]).await;
    let kept = until(SOON, "the tool list to be kept", async || {
        let mut files = fs::read_dir(state.join("tools")).ok()?.flatten().map(|entry| entry.path());
        files.find(|path| path.extension().is_some_and(|extension| extension == "json"))
    })
    .await;
    assert!(first.stop().await.success());
    let draft = kept.with_extension("json.new");
    let prepare: [(&str, &dyn Fn()); 5] = [
        ("a link stood where", &|| symlink(&victim, &draft).unwrap()),
        ("Is a directory", &|| fs::create_dir(&draft).unwrap()),
        ("it is a pipe", &|| make_fifo(&kept)),
        ("it is a device", &|| symlink("/dev/zero", &kept).unwrap()),
        ("is a link, and links are not followed", &|| {
            fs::remove_dir_all(state.join("tools")).unwrap();
            fs::create_dir(folder.path().join("elsewhere")).unwrap();
            symlink(folder.path().join("elsewhere"), state.join("tools")).unwrap();
        }),
    ];
    for (told, prepare) in prepare {
        let _as_it_was = fs::remove_file(&kept);
        fs::write(&victim, "precious").unwrap();
        prepare();
        let mut gateway = Gateway::serving(config.clone()).state(&state).start().await;
        gateway.ready(&["s"]).await;
        gateway.post("/s/pid", &json!({})).await.ok();
        gateway.logged(told).await;
        assert!(gateway.stop().await.success());
        assert_eq!(fs::read_to_string(&victim).unwrap(), "precious", "{told}");
        let _as_it_was = fs::remove_dir(&draft);
    }
    assert_eq!(fs::read_dir(folder.path().join("elsewhere")).unwrap().count(), 0);
}

#[tokio::test]
async fn an_audit_file_that_became_a_pipe_costs_records_and_neither_calls_nor_the_end() {
    let folder = TempDir::new().unwrap();
    let trail = folder.path().join("audit.jsonl");
    let config =
        json!({ "audit": { "to": "file", "file": trail }, "mcpServers": { "s": servers::scripted(&[]) } });
    let mut gateway = Gateway::with(config.clone()).start().await;
    gateway.ready(&["s"]).await;
    fs::remove_file(&trail).unwrap();
    make_fifo(&trail);
    gateway.hang_up();
    gateway.logged("the new configuration is served").await;
    gateway.post("/s/pid", &json!({})).await.ok();
    gateway.logged("cannot be written").await;
    gateway.post("/s/pid", &json!({})).await.ok();
    let asked = Instant::now();
    assert!(gateway.stop().await.success());
    assert!(asked.elapsed() < SOON, "{:?}", asked.elapsed());
    let (code, told) = Gateway::with(config).fail(free_port()).await;
    assert_eq!(code, Some(64), "{told}");
    assert!(told.contains("it is a pipe that nothing reads"), "{told}");
}
