//! What `/proc` tells of a process: memory, descriptors, children, and who carries a mark.

use std::path::PathBuf;
use std::time::Duration;

use nix::unistd::Pid;

fn place(pid: Pid, name: &str) -> PathBuf {
    PathBuf::from(format!("/proc/{pid}/{name}"))
}

fn status(pid: Pid, key: &str) -> Option<String> {
    let text = std::fs::read_to_string(place(pid, "status")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
    Some(line.trim().to_owned())
}

fn kilobytes(pid: Pid, key: &str) -> usize {
    let text = status(pid, key).unwrap_or_else(|| panic!("process {pid} tells no {key}"));
    text.split_whitespace().next().unwrap().parse().unwrap()
}

/// Resident memory, in kB.
pub fn resident(pid: Pid) -> usize {
    kilobytes(pid, "VmRSS")
}

/// The most that was resident since `forget_peak`, in kB.
pub fn peak(pid: Pid) -> usize {
    kilobytes(pid, "VmHWM")
}

/// Begins a new measurement of the peak (proc(5), `clear_refs`).
pub fn forget_peak(pid: Pid) {
    std::fs::write(place(pid, "clear_refs"), "5").unwrap();
}

/// The time that its threads ran, those included that have ended; in the system's clock ticks of 10 ms.
pub fn cpu(pid: Pid) -> Duration {
    let text = std::fs::read_to_string(place(pid, "stat")).unwrap();
    let fields: Vec<&str> = text.rsplit(") ").next().unwrap().split(' ').collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    Duration::from_millis(ticks * 10)
}

pub fn descriptors(pid: Pid) -> usize {
    std::fs::read_dir(place(pid, "fd")).unwrap().count()
}

pub fn is_zombie(pid: Pid) -> bool {
    status(pid, "State").is_some_and(|state| state.starts_with('Z'))
}

/// Whether it runs; one that only waits to be reaped does not.
pub fn lives(pid: Pid) -> bool {
    status(pid, "State").is_some_and(|state| !state.starts_with(['Z', 'X']))
}

fn parent(pid: Pid) -> Option<Pid> {
    Some(Pid::from_raw(status(pid, "PPid")?.parse().ok()?))
}

fn all() -> impl Iterator<Item = Pid> {
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    entries.filter_map(|entry| Some(Pid::from_raw(entry.file_name().to_str()?.parse().ok()?)))
}

/// The children of `pid`, those included that wait to be reaped.
pub fn children(pid: Pid) -> Vec<Pid> {
    all().filter(|child| parent(*child) == Some(pid)).collect()
}

/// The words of its command line.
pub fn command(pid: Pid) -> Option<Vec<String>> {
    let bytes = std::fs::read(place(pid, "cmdline")).ok()?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    Some(text.split_terminator('\0').map(str::to_owned).collect())
}

pub fn descends(pid: Pid, ancestor: Pid) -> bool {
    std::iter::successors(Some(pid), |pid| parent(*pid)).any(|pid| pid == ancestor)
}

/// The value of a variable that the process was started with.
pub fn variable(pid: Pid, name: &str) -> Option<String> {
    let bytes = std::fs::read(place(pid, "environ")).ok()?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    text.split('\0').find_map(|pair| Some(pair.strip_prefix(name)?.strip_prefix('=')?.to_owned()))
}

/// The living processes that were started with the variable at this value.
pub fn marked(name: &str, value: &str) -> Vec<Pid> {
    all().filter(|pid| lives(*pid) && variable(*pid, name).as_deref() == Some(value)).collect()
}
