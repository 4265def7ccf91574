//! A disk that is full, and a log that nobody takes.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rustix::fs::{CWD, Mode, OFlags};
use serde_json::json;

use super::beside::Beside;
use crate::support::gateway::Setup;
use crate::support::{Connection, Gateway, servers, until};

fn setup() -> Setup {
    Gateway::serving(json!({ "s": servers::scripted(&[]), "other": servers::scripted(&[]) }))
}

/// Calls one server beside the other, many times.
async fn serves(gateway: &Gateway, what: &str, calls: usize) {
    gateway.listed(&["s", "other"]).await;
    let beside = Beside::start(gateway, "other");
    let mut connection = Connection::open(gateway.address).await.unwrap();
    for value in 0..calls {
        let ask = gateway.ask("POST", "/s/echo").json(&json!({ "value": value }));
        assert_eq!(connection.send(ask).await.unwrap().ok()["arguments"]["value"], value, "{what}");
    }
    beside.end(what).await;
}

/// A file system of 64 kB, unmounted with the value.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(place: &Path) -> Option<Self> {
        let mut command = Command::new("mount");
        let mount = command.args(["-t", "tmpfs", "-o", "size=64k", "tmpfs"]).arg(place);
        let output = mount.output().ok()?;
        if !output.status.success() {
            eprintln!("SKIP: no file system can be mounted: {}", String::from_utf8_lossy(&output.stderr));
            return None;
        }
        Some(Self(place.to_owned()))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _stays_mounted = Command::new("umount").arg(&self.0).status();
    }
}

#[tokio::test]
async fn a_full_state_directory_costs_one_warning_a_server_and_no_call() {
    let folder = tempfile::tempdir().unwrap();
    let Some(disk) = SmallDisk::mount(folder.path()) else { return };
    let filled = std::fs::write(disk.0.join("filler"), vec![0; 1 << 20]);
    assert!(filled.is_err(), "the disk takes a megabyte");
    let mut gateway = setup().state(&disk.0.join("state")).start().await;
    serves(&gateway, "a full disk", 200).await;
    gateway.logged("its tool list cannot be kept").await;
    let log = gateway.log();
    let warnings = log.matches("its tool list cannot be kept").count();
    assert!((1..=2).contains(&warnings), "{warnings} warnings:\n{log}");
    assert_eq!(gateway.stop().await.code(), Some(0));
}

#[tokio::test]
async fn files_that_may_not_grow_end_neither_calls_nor_the_gateway() {
    let mut gateway = setup().after("ulimit -f 0").start().await;
    serves(&gateway, "no file may grow", 200).await;
    assert_eq!(gateway.stop().await.code(), Some(0));
}

#[tokio::test]
async fn a_log_on_a_full_device_ends_neither_calls_nor_the_gateway() {
    let mut gateway = setup().after("exec >/dev/full 2>/dev/full").start().await;
    serves(&gateway, "a log on a full device", 200).await;
    assert_eq!(gateway.stop().await.code(), Some(0));
}

#[tokio::test]
async fn a_log_that_is_closed_from_the_start_ends_neither_calls_nor_the_gateway() {
    let mut gateway = setup().after("exec <&- >&- 2>&-").start().await;
    serves(&gateway, "a closed log", 200).await;
    assert_eq!(gateway.stop().await.code(), Some(0));
}

#[tokio::test]
async fn a_log_that_nobody_reads_blocks_no_call() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    rustix::fs::mkfifoat(CWD, &pipe, Mode::RUSR | Mode::WUSR).unwrap();
    // Open for both, so that neither end waits for the other; read only at the end.
    let flags = OFlags::RDWR | OFlags::NONBLOCK;
    let end = rustix::fs::open(&pipe, flags, Mode::empty()).unwrap();
    let gateway = setup().after(&format!("exec 2>{}", pipe.display())).start().await;
    serves(&gateway, "a log that nobody reads", 3000).await;
    let mut bytes = vec![0; 64 << 10];
    let mut read = 0;
    until(Duration::from_secs(20), "more of the log than a pipe holds", async || {
        read += rustix::io::read(&end, &mut bytes).unwrap_or(0);
        (read > 128 << 10).then_some(())
    })
    .await;
}
