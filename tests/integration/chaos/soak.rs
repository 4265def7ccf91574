//! Load on seven servers while their children are killed: the ten minutes that nobody wants to watch.
//!
//! `MCPO_SOAK_SECONDS=600 cargo nextest run --no-capture soak` gives the whole of it, with figures;
//! `MCPO_SOAK_SEED` repeats the choice of victims.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use super::process;
use crate::support::servers::{Running, script};
use crate::support::{Answer, Connection, Gateway, free_port, provisioned, servers, until};

const CONNECTIONS: usize = 28;
const KILL_EVERY: Duration = Duration::from_secs(2);
/// In the environment of every child, and of what it starts.
const MARK: &str = "CHAOS_MARK";
const NAME: &str = "CHAOS_NAME";
/// What memory may differ by, beside five per cent: pages that the allocator happens to hold.
const NOISE: usize = 1024;

/// One kill, and the first call after it that went well.
struct Death {
    began: Instant,
    over: Option<Instant>,
    recovered: Option<Instant>,
}

struct Failure {
    server: String,
    began: Instant,
    ended: Instant,
    status: u16,
    text: String,
}

/// Who died when, and which calls failed.
#[derive(Default)]
struct Account {
    calls: AtomicUsize,
    deaths: Mutex<BTreeMap<String, Vec<Death>>>,
    failures: Mutex<Vec<Failure>>,
    /// Whether some server has not answered since its death.
    mourning: AtomicBool,
}

impl Account {
    fn answered(&self, server: &str, began: Instant, answer: &Answer) {
        self.calls.fetch_add(1, Ordering::Relaxed);
        let ended = Instant::now();
        if answer.status != 200 {
            let (server, status, text) = (server.to_owned(), answer.status, answer.text());
            self.failures.lock().unwrap().push(Failure { server, began, ended, status, text });
        } else if self.mourning.load(Ordering::Relaxed) {
            let mut deaths = self.deaths.lock().unwrap();
            for death in deaths.get_mut(server).into_iter().flatten() {
                if death.recovered.is_none() && death.over.is_some_and(|over| began > over) {
                    death.recovered = Some(ended);
                }
            }
            let open = deaths.values().flatten().any(|death| death.recovered.is_none());
            self.mourning.store(open, Ordering::Relaxed);
        }
    }

    async fn strike(&self, victim: Pid, server: &str) {
        let began = Instant::now();
        let death = Death { began, over: None, recovered: None };
        self.deaths.lock().unwrap().entry(server.to_owned()).or_default().push(death);
        if kill(victim, Signal::SIGKILL).is_err() {
            self.deaths.lock().unwrap().get_mut(server).unwrap().pop();
            return;
        }
        while process::lives(victim) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        self.deaths.lock().unwrap().get_mut(server).unwrap().last_mut().unwrap().over = Some(Instant::now());
        self.mourning.store(true, Ordering::Relaxed);
    }

    /// A call may only fail while its own server was dead: it ended after a kill, and began before the first
    /// call that went well after that kill.
    fn unexplained(&self) -> Vec<String> {
        let deaths = self.deaths.lock().unwrap();
        let explained = |failure: &Failure| {
            let own = deaths.get(&failure.server).map_or(&[][..], Vec::as_slice);
            [502, 503].contains(&failure.status)
                && own.iter().any(|death| {
                    failure.ended >= death.began && death.recovered.is_none_or(|back| failure.began <= back)
                })
        };
        let failures = self.failures.lock().unwrap();
        let others = failures.iter().filter(|failure| !explained(failure));
        others.map(|failure| format!("{} {} {}", failure.server, failure.status, failure.text)).collect()
    }
}

/// A call of `number` that only its own caller can have made, and whether the answer is its own.
fn call(server: &str, number: usize) -> (&'static str, Value, impl Fn(&Answer) -> bool + use<>) {
    let (hour, minute) = (number / 60 % 24, number % 60);
    let kind = server.to_owned();
    let (tool, body) = match server {
        "time" => {
            let time = format!("{hour:02}:{minute:02}");
            ("convert_time", json!({ "source_timezone": "UTC", "time": time, "target_timezone": "UTC" }))
        }
        "everything" => ("echo", json!({ "message": format!("m{number}") })),
        _ => ("echo", json!({ "value": number })),
    };
    let own = move |answer: &Answer| match kind.as_str() {
        "time" => answer.text().contains(&format!("T{hour:02}:{minute:02}:00")),
        "everything" => answer.json() == json!(format!("Echo: m{number}")),
        "http" | "sse" => answer.json() == json!({ "value": number }),
        _ => answer.json()["arguments"] == json!({ "value": number }),
    };
    (tool, body, own)
}

/// The next of a fixed row of numbers (xorshift).
fn next(state: &mut u64) -> usize {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    usize::try_from(*state >> 33).unwrap()
}

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| text.parse().unwrap())
}

fn median(samples: &[(f64, usize)], from: f64, to: f64) -> usize {
    let mut sizes: Vec<usize> =
        samples.iter().filter(|(at, _)| (from..=to).contains(at)).map(|(_, size)| *size).collect();
    sizes.sort_unstable();
    sizes[sizes.len() / 2]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn soak_of_killed_children_leaves_nothing_behind_and_fails_only_their_own_calls() {
    let length = Duration::from_secs(number("MCPO_SOAK_SECONDS", 20));
    let since_1970 = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let seed = number("MCPO_SOAK_SEED", since_1970.as_secs()).max(1);
    eprintln!("soak: {length:?}, MCPO_SOAK_SEED={seed}");

    let folder = tempfile::tempdir().unwrap();
    let mark = folder.path().to_string_lossy().into_owned();
    let (http_port, sse_port) = (free_port(), free_port());
    let socket = folder.path().join("server.sock");
    let path = |name: &str| script(name).to_string_lossy().into_owned();
    let (http, sse, lines) =
        (path("http_server.py"), path("chaos_http_server.py"), path("scripted_server.py"));
    let _http = Running::on_port(&["python3", &http, "--port", &http_port.to_string()], &[], http_port).await;
    let _sse =
        Running::on_port(&["python3", &sse, "--sse", "--port", &sse_port.to_string()], &[], sse_port).await;
    let _socket =
        Running::on_socket(&["python3", &lines, "--socket", socket.to_str().unwrap()], &socket).await;

    let mut stdio = vec![("a", Some(servers::scripted(&[]))), ("b", Some(servers::scripted(&[])))];
    stdio.push(("time", provisioned::time()));
    stdio.push(("everything", provisioned::node_entry("mcp-server-everything")));
    let mut config = json!({
        "http": { "type": "streamable-http", "url": format!("http://127.0.0.1:{http_port}/mcp") },
        "sse": { "type": "sse", "url": format!("http://127.0.0.1:{sse_port}/sse") },
        "unix": { "socket": socket },
    });
    let mut names = vec!["http", "sse", "unix"];
    for (name, entry) in stdio {
        let Some(mut entry) = entry else { continue };
        entry["env"] = json!({ MARK: mark, NAME: name });
        config[name] = entry;
        names.push(name);
    }
    let mut gateway = Gateway::serving(config).start().await;
    gateway.listed(&names).await;
    let own_children = names.len() - 3;
    assert_eq!(process::marked(MARK, &mark).len(), own_children, "the mark marks every child");
    let descriptors = process::descriptors(gateway.pid());

    let (account, stop) = (Arc::new(Account::default()), Arc::new(AtomicBool::new(false)));
    let callers: Vec<_> = (0..CONNECTIONS)
        .map(|caller| {
            let server = names[caller % names.len()].to_owned();
            let (account, stop, address) = (account.clone(), stop.clone(), gateway.address);
            let ask = move |path: &str| crate::support::Ask::new(address, "POST", path);
            tokio::spawn(async move {
                let mut connection = Connection::open(address).await.unwrap();
                for round in 0.. {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    let (tool, body, own) = call(&server, caller + CONNECTIONS * round);
                    let began = Instant::now();
                    let asked = ask(&format!("/{server}/{tool}")).json(&body);
                    let answer = connection.send(asked).await.unwrap();
                    account.answered(&server, began, &answer);
                    match answer.status {
                        200 => assert!(own(&answer), "{server}: not the caller's own: {}", answer.text()),
                        _ => tokio::time::sleep(Duration::from_millis(20)).await,
                    }
                }
            })
        })
        .collect();

    let (began, mut state, mut samples, mut next_kill) = (Instant::now(), seed, Vec::new(), KILL_EVERY);
    while began.elapsed() < length {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let share = began.elapsed().as_secs_f64() / length.as_secs_f64();
        samples.push((share, process::resident(gateway.pid())));
        if began.elapsed() >= next_kill {
            next_kill += KILL_EVERY;
            let children: Vec<Pid> = process::children(gateway.pid());
            let alive: Vec<Pid> = children.into_iter().filter(|pid| process::lives(*pid)).collect();
            if let Some(victim) = alive.get(next(&mut state) % alive.len().max(1))
                && let Some(server) = process::variable(*victim, NAME)
            {
                account.strike(*victim, &server).await;
            }
        }
    }
    stop.store(true, Ordering::Relaxed);
    for caller in callers {
        caller.await.unwrap();
    }

    gateway.ready(&names).await;
    let (warm, end) = (median(&samples, 0.3, 0.4), median(&samples, 0.9, 1.0));
    let mut by_server: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    for (server, deaths) in account.deaths.lock().unwrap().iter() {
        by_server.entry(server.clone()).or_default().0 += deaths.len();
    }
    for failure in account.failures.lock().unwrap().iter() {
        by_server.entry(failure.server.clone()).or_default().1 += 1;
    }
    let calls = account.calls.load(Ordering::Relaxed);
    eprintln!("soak: {calls} calls; server: (kills, failed calls): {by_server:?}");
    eprintln!("soak: resident after the warm-up {warm} kB, at the end {end} kB");
    let unexplained = account.unexplained();
    assert!(unexplained.is_empty(), "{} failures unaccounted for: {unexplained:#?}", unexplained.len());
    assert!(end <= warm + warm / 20 + NOISE, "resident memory grew from {warm} to {end} kB");
    assert!(by_server.values().map(|(kills, _)| kills).sum::<usize>() > 0, "nobody was killed");

    let pid = gateway.pid();
    until(Duration::from_secs(20), "its own children alone, none of them a zombie", async || {
        let children = process::children(pid);
        (children.len() == own_children && !children.iter().any(|child| process::is_zombie(*child)))
            .then_some(())
    })
    .await;
    let orphans: Vec<Pid> =
        process::marked(MARK, &mark).into_iter().filter(|marked| !process::descends(*marked, pid)).collect();
    assert!(orphans.is_empty(), "orphans: {orphans:?}");
    // Connections to the two HTTP servers are kept for a minute.
    let kept = 2 * CONNECTIONS.div_ceil(names.len()) + 2;
    until(Duration::from_secs(20), "the descriptors of before", async || {
        (process::descriptors(pid) <= descriptors + kept).then_some(())
    })
    .await;
    eprintln!("soak: descriptors {descriptors} before, {} after", process::descriptors(pid));
    assert_eq!(gateway.stop().await.code(), Some(0));
    until(Duration::from_secs(10), "the end of every marked process", async || {
        process::marked(MARK, &mark).is_empty().then_some(())
    })
    .await;
}
