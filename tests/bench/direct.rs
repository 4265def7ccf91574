//! Calls MCP servers directly, without a gateway: the floor that the benchmark compares with.
//!
//! `bench-direct calls ... -- COMMAND` keeps a number of calls in flight on one stdio server and prints their
//! rate and latency; `bench-direct launch FILE` starts all stdio servers of a configuration at once, initialises
//! them, lists their tools and prints how long each took. Both print one JSON object.

use std::collections::HashMap;
use std::io::Write as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::{Args, Parser};
use memchr::memmem;
use serde_json::{Value, json};

#[path = "samples.rs"]
mod samples;
#[path = "session.rs"]
mod session;

use samples::Samples;
use session::{Outcome, Session};

/// Direct MCP calls, measured.
#[derive(Debug, Parser)]
enum Options {
    /// Call one tool of one server again and again.
    Calls(Calls),
    /// Start every stdio server of a configuration at once and wait until each has listed its tools.
    Launch {
        /// A file with `mcpServers`; entries with a `url` are left out.
        config: PathBuf,
    },
}

#[derive(Debug, Args)]
struct Calls {
    /// The tool to call.
    #[arg(long)]
    tool: String,
    /// Its arguments, a JSON object.
    #[arg(long)]
    arguments: String,
    /// What every answer must contain.
    #[arg(long)]
    expect: String,
    /// Calls in flight.
    #[arg(long, default_value_t = 1)]
    concurrency: usize,
    /// How long to measure.
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// Call this long before measuring, so that the server is warm.
    #[arg(long, default_value_t = 0.0)]
    warmup: f64,
    /// Keep one call of this tool in flight beside the measured ones; it is not measured.
    #[arg(long, requires = "beside_arguments")]
    beside: Option<String>,
    /// The arguments of the tool beside.
    #[arg(long)]
    beside_arguments: Option<String>,
    /// The server's command and arguments.
    #[arg(last = true, required = true)]
    command: Vec<String>,
}

fn main() -> Outcome<()> {
    let report = match Options::parse() {
        Options::Calls(calls) => measure(&calls)?,
        Options::Launch { config } => launch(&std::fs::read_to_string(config)?)?,
    };
    Ok(writeln!(std::io::stdout(), "{report}")?)
}

/// The id of the calls beside; no measured call reaches it, and every JSON number can hold it.
const BESIDE: u64 = 1 << 52;

fn measure(options: &Calls) -> Outcome<Value> {
    let mut session = Session::spawn(&options.command)?;
    session.initialize()?;
    let mut next = 1;
    if options.warmup > 0.0 {
        window(&mut session, options, options.warmup, &mut next)?;
    }
    window(&mut session, options, options.seconds, &mut next)
}

/// Keeps the calls in flight for `seconds`, then waits for the last answers.
fn window(session: &mut Session, options: &Calls, seconds: f64, next: &mut u64) -> Outcome<Value> {
    let expected = memmem::Finder::new(&options.expect);
    let beside = options.beside.as_ref().map(|tool| {
        let arguments = options.beside_arguments.as_deref().unwrap_or("{}");
        call(BESIDE, tool, arguments)
    });
    let mut samples = Samples::default();
    let mut sent: HashMap<u64, Instant> = HashMap::new();
    let mut outgoing = String::new();
    let mut beside_in_flight = false;
    let start = Instant::now();
    let until = start + Duration::from_secs_f64(seconds);
    if let Some(beside) = &beside {
        outgoing.push_str(beside);
        beside_in_flight = true;
    }
    for _ in 0..options.concurrency {
        outgoing.push_str(&call(*next, &options.tool, &options.arguments));
        sent.insert(*next, Instant::now());
        *next += 1;
    }
    while !sent.is_empty() || beside_in_flight {
        // Written together once nothing more can be read at once, as any pipelining client does.
        if !outgoing.is_empty() && !session.has_buffered_line() {
            session.send(outgoing.as_bytes())?;
            outgoing.clear();
        }
        let (id, line) = session.answer()?;
        let now = Instant::now();
        if id == BESIDE {
            beside_in_flight = now < until;
            if beside_in_flight {
                outgoing.push_str(beside.as_deref().unwrap_or_default());
            }
            continue;
        }
        match sent.remove(&id) {
            Some(at) if expected.find(line).is_some() => samples.good(now - at),
            Some(_) => samples.bad(String::from_utf8_lossy(line)),
            None => return Err(format!("an answer to call {id}, which was not made").into()),
        }
        if now < until {
            outgoing.push_str(&call(*next, &options.tool, &options.arguments));
            sent.insert(*next, now);
            *next += 1;
        }
    }
    Ok(Samples::report([samples], start.elapsed()))
}

fn call(id: u64, tool: &str, arguments: &str) -> String {
    format!(
        "{{\"jsonrpc\":\"2.0\",\"id\":{id},\"method\":\"tools/call\",\"params\":{{\"name\":\"{tool}\",\"arguments\":{arguments}}}}}\n"
    )
}

fn launch(config: &str) -> Outcome<Value> {
    let config: Value = serde_json::from_str(config)?;
    let servers = config["mcpServers"].as_object().ok_or("the configuration has no mcpServers")?;
    let commands: Vec<(&String, Vec<String>)> = servers
        .iter()
        .filter_map(|(name, entry)| {
            let program = entry["command"].as_str()?;
            let arguments = entry["args"].as_array().into_iter().flatten();
            let command = std::iter::once(program).chain(arguments.filter_map(Value::as_str));
            Some((name, command.map(str::to_owned).collect()))
        })
        .collect();

    let start = Instant::now();
    let outcomes: Vec<Outcome<(Session, usize, Duration)>> = std::thread::scope(|scope| {
        let threads: Vec<_> = commands
            .iter()
            .map(|(_, command)| {
                scope.spawn(move || {
                    let mut session = Session::spawn(command)?;
                    session.initialize()?;
                    let tools = session.count_tools()?;
                    Ok((session, tools, start.elapsed()))
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().map_err(|_| "a launching thread panicked")?).collect()
    });

    let mut each = serde_json::Map::new();
    let mut last = Duration::ZERO;
    // The sessions stay open until all have been timed, so that ending one does not slow another.
    let mut sessions = Vec::new();
    for ((name, _), outcome) in commands.iter().zip(outcomes) {
        let (session, tools, took) = outcome.map_err(|error| format!("{name}: {error}"))?;
        last = last.max(took);
        each.insert((*name).clone(), json!({ "ms": took.as_secs_f64() * 1_000.0, "tools": tools }));
        sessions.push(session);
    }
    drop(sessions);
    Ok(json!({ "all_ms": last.as_secs_f64() * 1_000.0, "servers": each }))
}
