//! The limits of the unit's control group (cgroup v2), and whether the kernel has enforced one of them.
//!
//! A process that is killed for its memory shows a signal, and a refused fork an error of the program; only the control
//! group knows the limit behind it. Without a control group that can be read, the status stays as it is.

use std::fs::{File, read_to_string};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::config::ServerName;

const MOUNT: &str = "/sys/fs/cgroup";
/// How [`crate::upstream::transport::child`] tells of a process that the kernel killed.
const KILLED: &str = "was killed by signal 9";

/// The control group of this process and of its server, as it was when the server started.
#[derive(Debug)]
pub struct ControlGroup {
    /// Its folder, then those above it.
    folders: Vec<PathBuf>,
    before: CgroupEvents,
}

#[derive(Debug, PartialEq, Eq)]
struct CgroupEvents {
    /// Processes of this group that the kernel killed for memory, by the limit of any folder or of the machine.
    killed: u64,
    /// New processes that were refused to this group.
    refused: u64,
    /// How often the memory limit of each folder itself was reached with nothing left to reclaim.
    exhausted: Vec<u64>,
}

impl ControlGroup {
    pub fn own() -> Self {
        let groups = read_to_string("/proc/self/cgroup").unwrap_or_else(|error| {
            tracing::debug!(%error, "the control group of this process is not known");
            String::new()
        });
        Self::of(&groups, Path::new(MOUNT))
    }

    /// `groups` is the text of `/proc/self/cgroup`.
    fn of(groups: &str, mount: &Path) -> Self {
        let path = groups.lines().find_map(|line| line.strip_prefix("0::/"));
        let folder = path.map(|path| mount.join(path));
        let upwards = folder.iter().flat_map(|folder| folder.ancestors());
        let folders: Vec<_> = upwards.take_while(|it| it.starts_with(mount)).map(Path::to_owned).collect();
        let before = CgroupEvents::read(&folders);
        Self { folders, before }
    }

    /// The `status` of the ended server, with the limit that was enforced since it started.
    pub fn explain(&self, status: &str) -> String {
        let now = CgroupEvents::read(&self.folders);
        let killed_for_memory = now.killed > self.before.killed;
        let mut text = match status {
            KILLED if killed_for_memory => format!("was killed by {}", self.memory_limit(&now)),
            _ if killed_for_memory => {
                format!("{status}, after {} had killed one of its processes", self.memory_limit(&now))
            }
            _ => status.to_owned(),
        };
        if now.refused > self.before.refused {
            text = format!("{text}, after {} had refused it a new process", self.tasks_limit());
        }
        text
    }

    /// Logs the first new process that is refused: a server seldom ends with it. Never comes back.
    pub async fn tell_of_refused_processes(&self, name: &ServerName) {
        match self.refused().await {
            Ok(()) => {
                tracing::warn!(mcp_server = %name, "{name}: {} refuses it a new process", self.tasks_limit());
            }
            Err(error) => {
                tracing::debug!(mcp_server = %name, %error, "{name}: its limit of tasks cannot be watched");
            }
        }
        std::future::pending().await
    }

    async fn refused(&self) -> io::Result<()> {
        let folder = self.folders.first().ok_or(io::ErrorKind::NotFound)?;
        let mut file = File::open(folder.join("pids.events"))?;
        // The kernel tells of what changes after a reading.
        file.read_to_string(&mut String::new())?;
        let changes = watch(file)?;
        while CgroupEvents::read(&self.folders).refused <= self.before.refused {
            changes.ready(Interest::PRIORITY).await?.clear_ready();
        }
        Ok(())
    }

    fn memory_limit(&self, now: &CgroupEvents) -> String {
        let mut counts = now.exhausted.iter().zip(&self.before.exhausted);
        let Some(level) = counts.position(|(now, before)| now > before) else {
            return "the kernel, since the machine has no memory left".to_owned();
        };
        let folder = &self.folders[level];
        let size = limit(folder, "memory.max").map(|bytes| format!(" of {} MB", bytes >> 20));
        named("memory limit", &size.unwrap_or_default(), (level > 0).then_some(folder), "memoryMax")
    }

    fn tasks_limit(&self) -> String {
        // Older kernels count a refusal where it was asked for, and not where the limit is.
        let is_reached = |folder: &PathBuf| {
            limit(folder, "pids.max")
                .is_some_and(|most| limit(folder, "pids.peak").is_none_or(|peak| peak >= most))
        };
        let level = self.folders.iter().position(is_reached).unwrap_or_default();
        let folder = self.folders.get(level);
        let size =
            folder.and_then(|folder| limit(folder, "pids.max")).map(|most| format!(" of {most} tasks"));
        named("limit", &size.unwrap_or_default(), folder.filter(|_| level > 0), "tasksMax")
    }
}

/// A limit of the server's own unit, or of a slice `above` it, which holds other units too.
fn named(what: &str, size: &str, above: Option<&PathBuf>, option: &str) -> String {
    match above.and_then(|folder| folder.file_name()) {
        Some(slice) => format!("the {what}{size} of `{}`", slice.display()),
        None => format!("its {what}{size} (`{option}`)"),
    }
}

impl CgroupEvents {
    fn read(folders: &[PathBuf]) -> Self {
        let own = |file: &str, key: &str| folders.first().map_or(0, |folder| count(folder, file, key));
        Self {
            killed: own("memory.events", "oom_kill"),
            refused: own("pids.events", "max"),
            exhausted: folders.iter().map(|folder| count(folder, "memory.events.local", "oom")).collect(),
        }
    }
}

/// The value of `key` in `file`; 0 where the kernel has no such file.
fn count(folder: &Path, file: &str, key: &str) -> u64 {
    let text = read_to_string(folder.join(file)).unwrap_or_default();
    let values = text.lines().filter_map(|line| line.split_once(' '));
    values.into_iter().find(|(name, _)| *name == key).and_then(|(_, value)| value.parse().ok()).unwrap_or(0)
}

/// The number in `file`; `None` for `max`, which is no limit.
fn limit(folder: &Path, file: &str) -> Option<u64> {
    read_to_string(folder.join(file)).ok()?.trim().parse().ok()
}

#[expect(deprecated, reason = "its successor is `unsafe`, and an owned file meets its conditions")]
fn watch(file: File) -> io::Result<AsyncFd<File>> {
    AsyncFd::with_interest(file, Interest::PRIORITY)
}

#[cfg(test)]
mod tests {
    use std::fs::{create_dir_all, write};

    use super::*;

    const GROUPS: &str = "0::/mcpo.slice/mcpo-server-time@3-1042-990.service\n";
    const SERVER: &str = "mcpo.slice/mcpo-server-time@3-1042-990.service";

    /// Files in the form that the kernel writes, as its documentation of cgroup v2 has them.
    fn written(mount: &Path) {
        for (folder, file, text) in [
            (SERVER, "memory.max", "536870912\n"),
            (SERVER, "pids.max", "128\n"),
            (SERVER, "pids.peak", "9\n"),
            ("mcpo.slice", "memory.max", "2147483648\n"),
            ("mcpo.slice", "pids.max", "512\n"),
            ("mcpo.slice", "pids.peak", "40\n"),
        ] {
            change(mount, folder, file, text);
        }
        for folder in [SERVER, "mcpo.slice"] {
            memory_events(mount, folder, 0, 0);
            change(mount, folder, "pids.events", "max 0\n");
        }
    }

    fn change(mount: &Path, folder: &str, file: &str, text: &str) {
        create_dir_all(mount.join(folder)).unwrap();
        write(mount.join(folder).join(file), text).unwrap();
    }

    fn memory_events(mount: &Path, folder: &str, oom: u64, killed: u64) {
        let text = format!("low 0\nhigh 0\nmax 1287\noom {oom}\noom_kill {killed}\noom_group_kill 0\n");
        change(mount, folder, "memory.events", &text);
        change(mount, folder, "memory.events.local", &text);
    }

    #[test]
    fn what_was_not_enforced_since_the_start_is_not_said() {
        let mount = tempfile::tempdir().unwrap();
        written(mount.path());
        memory_events(mount.path(), SERVER, 4, 4);
        change(mount.path(), SERVER, "pids.events", "max 7\n");
        let group = ControlGroup::of(GROUPS, mount.path());
        assert_eq!(group.explain(KILLED), KILLED);
        for unknown in ["", "4:memory:/x\n", "0::/gone\n"] {
            assert_eq!(ControlGroup::of(unknown, mount.path()).explain(KILLED), KILLED, "{unknown}");
        }
    }

    #[test]
    fn a_server_that_was_killed_for_its_memory_is_told_with_the_limit() {
        let mount = tempfile::tempdir().unwrap();
        written(mount.path());
        let group = ControlGroup::of(GROUPS, mount.path());
        memory_events(mount.path(), SERVER, 1, 1);
        assert_eq!(group.explain(KILLED), "was killed by its memory limit of 512 MB (`memoryMax`)");
        assert_eq!(
            group.explain("exited with status 137"),
            "exited with status 137, after its memory limit of 512 MB (`memoryMax`) had killed one of its processes"
        );
        memory_events(mount.path(), SERVER, 0, 1);
        assert_eq!(group.explain(KILLED), "was killed by the kernel, since the machine has no memory left");
        memory_events(mount.path(), "mcpo.slice", 1, 0);
        assert_eq!(group.explain(KILLED), "was killed by the memory limit of 2048 MB of `mcpo.slice`");
    }

    #[test]
    fn a_refused_process_is_told_with_the_limit() {
        let mount = tempfile::tempdir().unwrap();
        written(mount.path());
        let group = ControlGroup::of(GROUPS, mount.path());
        change(mount.path(), SERVER, "pids.events", "max 3\n");
        change(mount.path(), SERVER, "pids.peak", "128\n");
        let own =
            "exited with status 254, after its limit of 128 tasks (`tasksMax`) had refused it a new process";
        assert_eq!(group.explain("exited with status 254"), own);
        change(mount.path(), SERVER, "pids.peak", "90\n");
        change(mount.path(), "mcpo.slice", "pids.peak", "512\n");
        let above = "exited with status 254, after the limit of 512 tasks of `mcpo.slice` had refused it a new process";
        assert_eq!(group.explain("exited with status 254"), above);
    }
}
