//! Defaults that several places need, and why; the others stand in the table of keys.

use std::time::Duration;

/// Of one of several keys: more than a team's editors and agents have open.
pub const SESSIONS_PER_KEY: usize = 1000;
/// The output of a talkative server at work; ten seconds of it may come at once, for a long trace.
pub const STDERR_LINES: usize = 100;
/// Calls in flight per server: more than any model asks for at once, few enough for a small server.
pub const CONCURRENCY: usize = 64;
/// One of several keys leaves one turn in so many to the others.
pub const CONCURRENCY_LEFT: usize = 4;
/// Connections to one server that serve one caller each. Each costs the server a session, and a few teams are smaller
/// than this.
pub const IDENTITIES: usize = 256;
/// Of one of several keys: a household or a team is smaller than this.
pub const IDENTITIES_PER_KEY: usize = 64;
/// Processes that serve one caller each, of all servers. Each takes as much memory as the server itself.
pub const PROCESSES: usize = 64;
/// Of one of several keys: some conversations at a time, at some servers each.
pub const PROCESSES_PER_KEY: usize = 16;
/// Of one of several keys: more than any of them can use, and a few such keys leave some to others.
pub const CALLS_PER_KEY: usize = 1000;
/// Of one of several keys: one for each of its sessions.
pub const LISTENERS_PER_KEY: usize = 1000;
/// Of one of several keys: two sessions that follow all that they may.
pub const FOLLOWED_PER_KEY: usize = 2048;
/// Conversations pause for minutes; a session that is opened anew costs one round trip or two.
pub const IDENTITY_IDLE: Duration = Duration::from_secs(300);
/// The longest names of tools and prompts at `/mcp` and `/v1`. Clients put their own before them (Claude Code makes
/// `mcp__gateway__NAME`), and models' interfaces take 64 characters of it all.
pub const EXPOSED_NAME_LENGTH: usize = 50;
/// The name of the built-in server when nothing is configured.
pub const BUILTIN_NAME: &str = "gateway";
/// Memory of one instance of a server that has a unit: Node with a large dependency tree takes 200 MB.
pub const MEMORY_MAX: &str = "512M";
/// Processes and threads of such an instance: Node has eleven threads, and a browser a hundred.
pub const TASKS_MAX: usize = 128;

/// How long an access token of the gateway lasts: a client that was robbed of one loses it soon.
pub const TOKEN_LIFETIME: Duration = Duration::from_secs(600);
