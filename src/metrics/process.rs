//! The `process_*` metrics that every Prometheus client library has, read from `/proc/self`.
//!
//! The collector of the crate (its feature `process`) counts CPU time in whole seconds, too coarse for a rate.
//! A value that cannot be read is left out: a scrape never fails for want of one.

use std::fs;
use std::io;

use prometheus::{Counter, Gauge, Registry};
use rustix::param::{clock_ticks_per_second, page_size};
use rustix::process::{Resource, getrlimit};

use super::family::VALID;

/// The fields of `/proc/self/stat` that are shown, in the kernel's units.
#[derive(Debug, PartialEq)]
struct Stat {
    cpu_ticks: u64,
    threads: u64,
    start_ticks: u64,
    virtual_bytes: u64,
    resident_pages: u64,
}

pub(super) fn register(registry: &Registry) -> prometheus::Result<()> {
    let gauge = |name: &str, help: &str, value: f64| {
        let gauge = Gauge::new(name, help).expect(VALID);
        gauge.set(value);
        registry.register(Box::new(gauge))
    };
    if let Ok(stat) = fs::read_to_string("/proc/self/stat")
        && let Some(stat) = parse(&stat)
    {
        let ticks = number(clock_ticks_per_second());
        let cpu = Counter::new("process_cpu_seconds_total", "User and system CPU time spent, in seconds.");
        let cpu = cpu.expect(VALID);
        cpu.inc_by(number(stat.cpu_ticks) / ticks);
        registry.register(Box::new(cpu))?;
        gauge("process_threads", "Threads of the process.", number(stat.threads))?;
        gauge("process_virtual_memory_bytes", "Virtual memory, in bytes.", number(stat.virtual_bytes))?;
        let resident = number(stat.resident_pages) * number(page_size() as u64);
        gauge("process_resident_memory_bytes", "Resident memory, in bytes.", resident)?;
        if let Some(boot) = fs::read_to_string("/proc/stat").ok().as_deref().and_then(boot_time) {
            let start = number(boot) + number(stat.start_ticks) / ticks;
            gauge(
                "process_start_time_seconds",
                "When the process was started, in seconds since 1970.",
                start,
            )?;
        }
    }
    if let Ok(open) = open_descriptors() {
        gauge("process_open_fds", "Open file descriptors.", number(open))?;
    }
    if let Some(most) = getrlimit(Resource::Nofile).current {
        gauge("process_max_fds", "File descriptors that may be open at one time.", number(most))?;
    }
    Ok(())
}

/// The command's name is the second field, in brackets, and may itself hold brackets and spaces (proc(5)).
fn parse(stat: &str) -> Option<Stat> {
    let (_, rest) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    // The third field of the manual is the first one here.
    let field = |manual: usize| fields.get(manual - 3)?.parse::<u64>().ok();
    Some(Stat {
        cpu_ticks: field(14)? + field(15)?,
        threads: field(20)?,
        start_ticks: field(22)?,
        virtual_bytes: field(23)?,
        resident_pages: field(24)?,
    })
}

fn boot_time(stat: &str) -> Option<u64> {
    stat.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()
}

/// Without the one that the directory is read with.
fn open_descriptors() -> io::Result<u64> {
    let count = fs::read_dir("/proc/self/fd")?.count();
    Ok(count.saturating_sub(1) as u64)
}

#[expect(clippy::cast_precision_loss, reason = "Prometheus knows doubles only")]
fn number(value: u64) -> f64 {
    value as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_counted_from_behind_the_name_whatever_it_holds() {
        let stat = "77 (a) b (c) S 1 2 3 4 5 6 7 8 9 10 300 50 13 14 15 16 9 18 4242 1000 25 19";
        let wanted =
            Stat { cpu_ticks: 350, threads: 9, start_ticks: 4242, virtual_bytes: 1000, resident_pages: 25 };
        assert_eq!(parse(stat), Some(wanted));
        assert_eq!(parse("77 (a) S 1 2"), None);
        assert_eq!(parse(""), None);
    }

    #[test]
    fn the_boot_time_is_a_line_of_its_own() {
        assert_eq!(boot_time("cpu 1 2\nbtime 1700000000\nprocesses 5"), Some(1_700_000_000));
        assert_eq!(boot_time("cpu 1 2"), None);
    }

    #[test]
    fn this_process_can_be_read_whole() {
        let registry = Registry::new();
        register(&registry).unwrap();
        let names: Vec<String> = registry.gather().iter().map(|family| family.name().to_owned()).collect();
        assert_eq!(
            names,
            [
                "process_cpu_seconds_total",
                "process_max_fds",
                "process_open_fds",
                "process_resident_memory_bytes",
                "process_start_time_seconds",
                "process_threads",
                "process_virtual_memory_bytes"
            ]
        );
    }
}
