//! A real Redis that a test may stop, kill and start again.

use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{free_port, provisioned};

/// A Redis on a loopback port, which keeps nothing on disk; it ends with the value.
#[derive(Debug)]
pub struct Redis {
    pub port: u16,
    more: Vec<String>,
    folder: TempDir,
    child: Option<Child>,
}

impl Redis {
    /// Starts it with these further options; `None` where the part is skipped.
    pub async fn start(more: &[&str]) -> Option<Self> {
        if !provisioned::redis() {
            return None;
        }
        let more = more.iter().map(|word| (*word).to_owned()).collect();
        let mut redis = Self { port: free_port(), more, folder: TempDir::new().unwrap(), child: None };
        redis.begin().await;
        Some(redis)
    }

    /// Its address in a configuration.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Starts it, empty, on the same port.
    pub async fn begin(&mut self) {
        // Debian has the server under two names, of which one comes without a service.
        let mut command = Command::new("redis-check-rdb");
        command.arg0("redis-server").args([
            "--port",
            &self.port.to_string(),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
        ]);
        command.args(&self.more).current_dir(self.folder.path());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        self.child = Some(command.spawn().expect("redis-check-rdb of the package redis-tools"));
        let start = Instant::now();
        while TcpStream::connect(("127.0.0.1", self.port)).await.is_err() {
            assert!(start.elapsed() < Duration::from_secs(20), "Redis opens no port");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Kills it; what it held is lost.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _already_gone = child.kill();
            let _status = child.wait();
        }
    }

    /// Lets it answer nothing, or go on.
    pub fn signal(&self, signal: Signal) {
        let child = self.child.as_ref().expect("Redis runs");
        kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), signal).unwrap();
    }

    /// Sends one command; gives the answer as it comes.
    pub async fn ask(&self, words: &[&str]) -> String {
        let mut text = format!("*{}\r\n", words.len());
        for word in words {
            text.push_str(&format!("${}\r\n{word}\r\n", word.len()));
        }
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).await.unwrap();
        stream.write_all(text.as_bytes()).await.unwrap();
        let mut answer = vec![0; 1 << 16];
        let count = stream.read(&mut answer).await.unwrap();
        String::from_utf8_lossy(&answer[..count]).into_owned()
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.kill();
    }
}
