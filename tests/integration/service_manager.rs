//! What a service manager sees of the gateway, with the test in its place: notifications, the watchdog, and
//! sockets that are passed or bound.

use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;

use crate::support::gateway::Setup;
use crate::support::{Gateway, free_port, servers, until};

/// The test's end of `NOTIFY_SOCKET`.
struct Manager {
    socket: UnixDatagram,
    folder: TempDir,
}

impl Manager {
    fn new() -> Self {
        let folder = TempDir::with_prefix("mcpo-test-").unwrap();
        let socket = UnixDatagram::bind(folder.path().join("notify")).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        Self { socket, folder }
    }

    fn over(&self, setup: Setup) -> Setup {
        setup.environment("NOTIFY_SOCKET", self.folder.path().join("notify").to_str().unwrap())
    }

    fn next(&self) -> String {
        let mut message = [0; 4096];
        let length = self.socket.recv(&mut message).expect("a message within 20 s");
        String::from_utf8(message[..length].to_vec()).unwrap()
    }

    /// The next messages up to the first that holds `text`.
    fn until(&self, text: &str) -> Vec<String> {
        let mut messages = Vec::new();
        loop {
            messages.push(self.next());
            if messages.last().unwrap().contains(text) {
                return messages;
            }
            assert!(messages.len() < 100, "no {text}: {messages:?}");
        }
    }
}

#[tokio::test]
async fn the_manager_hears_of_readiness_of_every_change_and_of_the_end() {
    let manager = Manager::new();
    let marker = manager.folder.path().join("broken");
    let flaky = servers::scripted(&["--unless", marker.to_str().unwrap()]);
    std::fs::write(&marker, "").unwrap();
    let config = json!({ "good": servers::scripted(&[]), "flaky": flaky });
    let mut gateway = manager.over(Gateway::serving(config)).start().await;
    let first = manager.next();
    assert!(first.starts_with("READY=1\nSTATUS="), "{first}");
    manager.until("STATUS=1 of 2 servers ready; flaky: its process exited with status 7\n");
    std::fs::remove_file(&marker).unwrap();
    gateway.post("/flaky/pid", &json!({})).await;
    let messages = manager.until("STATUS=2 of 2 servers ready\n");
    assert!(messages.iter().all(|message| !message.contains("READY=1")), "told once: {messages:?}");
    assert_eq!(gateway.stop().await.code(), Some(0));
    let end = manager.next();
    assert!(end.starts_with("STOPPING=1\nEXTEND_TIMEOUT_USEC=30000000\nSTATUS=stopping"), "{end}");
}

#[tokio::test]
async fn the_watchdog_is_fed_while_the_gateway_works_and_not_when_it_hangs() {
    let manager = Manager::new();
    let setup = manager.over(Gateway::serving(json!({ "s": servers::scripted(&[]) })));
    let gateway = setup.environment("WATCHDOG_USEC", "600000").start().await;
    manager.until("WATCHDOG=1");
    for _ in 0..5 {
        let began = Instant::now();
        manager.until("WATCHDOG=1");
        assert!(began.elapsed() < Duration::from_millis(600), "late by {:?}", began.elapsed());
    }
    gateway.signal(Signal::SIGSTOP);
    manager.socket.set_read_timeout(Some(Duration::from_millis(700))).unwrap();
    let mut message = [0; 4096];
    // One message may have been on its way.
    let silent = (0..2).any(|_| manager.socket.recv(&mut message).is_err());
    gateway.signal(Signal::SIGCONT);
    assert!(silent, "a stopped process fed its watchdog");
}

#[tokio::test]
async fn a_watchdog_that_is_meant_for_another_process_is_not_fed() {
    let manager = Manager::new();
    let setup = manager.over(Gateway::serving(json!({ "s": servers::scripted(&[]) })));
    let setup = setup.environment("WATCHDOG_USEC", "100000").environment("WATCHDOG_PID", "1");
    let mut gateway = setup.start().await;
    manager.until("1 of 1 servers ready");
    gateway.stop().await;
    let rest = manager.until("STOPPING=1");
    assert!(rest.iter().all(|message| !message.contains("WATCHDOG")), "{rest:?}");
}

#[tokio::test]
async fn a_manager_that_is_gone_costs_one_warning_and_no_call() {
    let manager = Manager::new();
    let setup = manager.over(Gateway::serving(json!({ "s": servers::scripted(&[]) })));
    drop(manager);
    let gateway = setup.start().await;
    gateway.ready(&["s"]).await;
    gateway.post("/s/pid", &json!({})).await.ok();
    gateway.logged("the service manager cannot be notified").await;
    assert_eq!(gateway.log().matches("cannot be notified").count(), 1);
}

/// One request over the Unix socket.
async fn ask(path: &Path, request: &str) -> std::io::Result<String> {
    let mut stream = UnixStream::connect(path).await?;
    stream
        .write_all(format!("{request} HTTP/1.1\r\nHost: whoever\r\nConnection: close\r\n\r\n").as_bytes())
        .await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

/// The binary under another parent, which may pass it sockets; killed with the value.
struct Process(Child);

impl Process {
    /// Runs `python3 -c prelude` which ends by executing the binary with `arguments`.
    fn passing(prelude: &str, folder: &Path, arguments: &[&str]) -> Self {
        let script = format!("import os, socket, sys\n{prelude}\nos.execv(sys.argv[1], sys.argv[1:])");
        let mut command = Command::new("python3");
        command.args(["-c", &script, env!("CARGO_BIN_EXE_mcpo"), "--state-dir", "state"]).args(arguments);
        let log = std::fs::File::create(folder.join("log")).unwrap();
        command.current_dir(folder).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        Self(command.spawn().unwrap())
    }

    async fn code(&mut self) -> Option<i32> {
        until(Duration::from_secs(20), "the end of the process", async || self.0.try_wait().unwrap())
            .await
            .code()
    }

    fn terminate(&self) {
        kill(Pid::from_raw(i32::try_from(self.0.id()).unwrap()), Signal::SIGTERM).unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _already_gone = self.0.kill();
        let _status = self.0.wait();
    }
}

/// Makes the socket that is named `passed` the one of systemd's protocol.
const PASS: &str = "os.dup2(passed.fileno(), 3); os.set_inheritable(3, True)\n\
     os.environ.update(LISTEN_FDS='1', LISTEN_PID=str(os.getpid()))";

#[tokio::test]
async fn a_socket_that_was_passed_is_served_in_place_of_the_port() {
    let folder = TempDir::with_prefix("mcpo-test-").unwrap();
    let path = folder.path().join("passed.sock");
    let port = free_port().to_string();
    let prelude = format!(
        "passed = socket.socket(socket.AF_UNIX); passed.bind('passed.sock'); passed.listen(9)\n{PASS}"
    );
    let mut process = Process::passing(&prelude, folder.path(), &["--port", &port]);
    let answer = until(Duration::from_secs(20), "an answer over the passed socket", async || {
        ask(&path, "GET /health").await.ok()
    });
    assert!(answer.await.starts_with("HTTP/1.1 200"));
    assert!(tokio::net::TcpStream::connect(format!("127.0.0.1:{port}")).await.is_err());
    process.terminate();
    assert_eq!(process.code().await, Some(0));
    let log = std::fs::read_to_string(folder.path().join("log")).unwrap();
    assert!(log.contains("listens on unix:passed.sock, as the service manager passed it"), "{log}");
    assert!(path.exists(), "whoever made the socket removes it");
}

#[tokio::test]
async fn a_passed_socket_of_the_wrong_kind_ends_the_start_and_is_named() {
    for (prelude, named) in [
        (
            "passed = socket.socket(type=socket.SOCK_DGRAM); passed.bind(('127.0.0.1', 0))",
            "the UDP socket 127.0.0.1:",
        ),
        (
            "passed = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); passed.bind('d.sock')",
            "the Unix datagram socket d.sock",
        ),
        ("passed, other = socket.socketpair()", "a connection and no listening socket"),
        ("passed = open('some-file', 'w')", "file descriptor 3"),
    ] {
        let folder = TempDir::with_prefix("mcpo-test-").unwrap();
        let mut process = Process::passing(&format!("{prelude}\n{PASS}"), folder.path(), &[]);
        assert_eq!(process.code().await, Some(64), "{named}");
        let log = std::fs::read_to_string(folder.path().join("log")).unwrap();
        assert!(log.contains(named), "{log}");
    }
}

#[tokio::test]
async fn a_unix_socket_is_served_refused_while_in_use_and_gone_at_the_end() {
    let folder = TempDir::with_prefix("mcpo-test-").unwrap();
    let path = folder.path().join("mcpo.sock");
    let host = format!("unix:{}", path.display());
    let mut first = Process::passing("", folder.path(), &["--host", &host]);
    let answer =
        until(Duration::from_secs(20), "an answer", async || ask(&path, "GET /servers").await.ok()).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");

    let second_folder = TempDir::with_prefix("mcpo-test-").unwrap();
    let mut second = Process::passing("", second_folder.path(), &["--host", &host]);
    assert_eq!(second.code().await, Some(69));
    let log = std::fs::read_to_string(second_folder.path().join("log")).unwrap();
    assert!(log.contains(path.to_str().unwrap()), "{log}");

    // Killed, it leaves its file behind; the next one takes the place.
    first.0.kill().unwrap();
    first.code().await;
    assert!(path.exists());
    let mut third = Process::passing("", folder.path(), &["--host", &host]);
    let answer =
        until(Duration::from_secs(20), "an answer", async || ask(&path, "GET /health").await.ok()).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    third.terminate();
    assert_eq!(third.code().await, Some(0));
    assert!(!path.exists());
}
