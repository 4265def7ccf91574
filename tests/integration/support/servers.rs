//! The test servers of `tests/servers` as configuration entries, and servers that run beside the gateway.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::provisioned;

/// Path of a test server's script.
pub fn script(name: &str) -> PathBuf {
    provisioned::root().join("tests/servers").join(name)
}

/// Configuration entry of the quirk server with these groups and options.
pub fn quirk(groups: &[&str]) -> Value {
    entry("quirk_server.py", groups)
}

/// Configuration entry of the scripted server with these options.
pub fn scripted(options: &[&str]) -> Value {
    entry("scripted_server.py", options)
}

/// Configuration entry of a script of `tests/servers` with these arguments.
pub fn entry(name: &str, arguments: &[&str]) -> Value {
    let mut all = vec![script(name).to_string_lossy().into_owned()];
    all.extend(arguments.iter().map(|argument| (*argument).to_owned()));
    json!({ "command": "python3", "args": all })
}

/// A server that runs on its own, as remote ones do; killed with the value.
#[derive(Debug)]
pub struct Running {
    command: Vec<String>,
    environment: Vec<(String, String)>,
    child: Option<Child>,
}

impl Running {
    /// Starts it and waits until `port` takes connections.
    pub async fn on_port(command: &[&str], environment: &[(&str, &str)], port: u16) -> Self {
        let mut server = Self::spawned(command, environment);
        server.wait_for_port(port).await;
        server
    }

    /// Starts it and waits until the Unix socket takes connections.
    pub async fn on_socket(command: &[&str], socket: &Path) -> Self {
        let server = Self::spawned(command, &[]);
        let start = Instant::now();
        while tokio::net::UnixStream::connect(socket).await.is_err() {
            assert!(start.elapsed() < Duration::from_secs(30), "no socket at {}", socket.display());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        server
    }

    fn spawned(command: &[&str], environment: &[(&str, &str)]) -> Self {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let mut server = Self {
            command: command.iter().map(|word| (*word).to_owned()).collect(),
            environment: environment.iter().map(owned).collect(),
            child: None,
        };
        server.spawn();
        server
    }

    fn spawn(&mut self) {
        let mut command = Command::new(&self.command[0]);
        command.args(&self.command[1..]).envs(self.environment.iter().cloned());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        self.child = Some(command.spawn().unwrap());
    }

    async fn wait_for_port(&mut self, port: u16) {
        let start = Instant::now();
        while tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_err() {
            if let Some(status) = self.child.as_mut().and_then(|child| child.try_wait().unwrap()) {
                panic!("{:?} ended with {status}", self.command);
            }
            assert!(start.elapsed() < Duration::from_secs(60), "{:?} opens no port {port}", self.command);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Kills it and waits until it is gone.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _already_gone = child.kill();
            let _status = child.wait();
        }
    }

    /// Starts it once more after `kill`.
    pub async fn restart(&mut self, port: u16) {
        self.kill();
        self.spawn();
        self.wait_for_port(port).await;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}
