//! The table of the keys of one server: an entry of `mcpServers`.
//!
//! A new key is a row here, a field in `server.rs` and its reading in `entries.rs`.

use std::mem::discriminant;

use super::super::isolation::ISOLATIONS;
use super::super::key::ValueShape::{
    AnyCase, Anything, Count, Either, Lenient, List, Map, Object, PassedVariable, Revision, Seconds, Switch,
    Text, Word,
};
use super::super::key::{ConfigKey, Effect, FILLED, NAMED, SECRET, TEXT, ValueShape, words};
use super::super::server::ServerConfig;
use super::super::transport::{HttpConfig, StdioConfig, TRANSPORT_TYPES, TransportConfig};
use super::nested::{FORWARDED, FORWARDING, GLOBS, OAUTH, OVERRIDE, RATE_SHAPE, UNIT};

/// Whether a part of an entry has another value in the second one.
pub type Differs = fn(&ServerConfig, &ServerConfig) -> bool;

const TYPES: [&str; 8] = words(&TRANSPORT_TYPES);
const LEVELS: [&str; 4] = words(&ISOLATIONS);
const COMMAND: ValueShape = Text(&[FILLED]);
const ARGUMENTS: ValueShape = List(&Lenient(&Text(&[WORD])));
/// A word of a command.
const WORD: &str = r"^[^\x00]*$";
const ENV: ValueShape = Map(&[r"^[^=\x00]+$"], &Lenient(&Text(&[VARIABLE, WORD])));
/// As [`SECRET`], with `${caller}`, which the entry must have an `isolation` for.
const VARIABLE: &str =
    r"^(?:\$\$\{|\$\{(?:env:[^=\x00}]+|file:[^}]+|credential:[^/\x00}]+|caller)\}|\$(?!\$?\{)|[^$])*$";
const ONE_URL: ValueShape = Text(&[SECRET, r"\$\{|^\s*[Hh][Tt][Tt][Pp][Ss]?:"]);
const URL: ValueShape = Either(&[ONE_URL, List(&ONE_URL)]);
/// Control characters are found in values without references.
const HEADER_VALUE: ValueShape = Text(&[SECRET, r"\$\{|^[^\x00-\x08\x0A-\x1F\x7F]*$"]);
const HEADERS: ValueShape = Map(&[r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$"], &Lenient(&HEADER_VALUE));
const SOCKET: ValueShape = Text(&[r"^[\s\S]{1,107}$"]);
const SIGN_IN: ValueShape = Either(&[Switch, Object(OAUTH, &[])]);
/// GitHub's coding agent has a list there.
const OVERRIDES: ValueShape = Either(&[Map(&[], &Object(OVERRIDE, &[])), List(&Anything)]);

/// A key whose server is started anew when it differs.
const fn connection(
    name: &'static str,
    shape: ValueShape,
    doc: &'static str,
    differs: Differs,
) -> (ConfigKey, Differs) {
    (ConfigKey::new(name, shape, Effect::ServerReplaced, doc), differs)
}

/// A rule of the gateway for the server.
const fn rule(
    name: &'static str,
    shape: ValueShape,
    doc: &'static str,
    differs: Differs,
) -> (ConfigKey, Differs) {
    (ConfigKey::new(name, shape, Effect::AtOnce, doc), differs)
}

/// Another spelling of the key `of`, with which it is compared.
const fn spelling(name: &'static str, of: &'static str, shape: ValueShape) -> (ConfigKey, Differs) {
    (ConfigKey::new(name, shape, Effect::AtOnce, "").spelling_of(of), |_, _| false)
}

/// Every key of an entry. How a server is reached comes first.
#[rustfmt::skip]
pub const ENTRY: &[(ConfigKey, Differs)] = &[
    connection("type", AnyCase(&TYPES),
        "`stdio`, `streamable-http` (`http`), `sse`, `socket` or `gateway`; without it, what the other settings say",
        |old, new| discriminant(&old.transport) != discriminant(&new.transport)),
    connection("command", COMMAND, "Program of a server that speaks over its standard streams",
        |old, new| stdio(old, new, |stdio| &stdio.command)),
    connection("args", ARGUMENTS, "Its arguments, which every user of the machine can read",
        |old, new| stdio(old, new, |stdio| &stdio.args)),
    connection("env", ENV, "Its variables; secrets as references",
        |old, new| stdio(old, new, |stdio| &stdio.env)),
    connection("envFile", Text(&[NAMED]), "Dotenv file, read at each start",
        |old, new| stdio(old, new, |stdio| &stdio.env_file)),
    connection("passEnv", List(&PassedVariable), "Variables of the gateway that it gets",
        |old, new| stdio(old, new, |stdio| &stdio.pass_env)),
    connection("cwd", Text(&[WORD]), "Its working directory",
        |old, new| stdio(old, new, |stdio| &stdio.cwd)),
    connection("isolation", Word(&LEVELS),
        "Which callers share its process or session: `shared`, `key`, `user` or `session`; `${caller}` tells them apart",
        |old, new| old.isolation != new.isolation),
    connection("unit", Object(UNIT, &[]), "What its unit may use, where `mcpo units` writes one",
        |old, new| old.unit != new.unit),
    connection("url", URL, "Address of a server over HTTP, or a list: the first that serves is used",
        |old, new| http(old, new, |http| &http.url) || http(old, new, |http| &http.other_urls)),
    connection("headers", HEADERS, "Headers for that server; secrets as references",
        |old, new| http(old, new, |http| &http.headers)),
    connection("oauth", SIGN_IN, "How the gateway signs in to that server; `true`: a person does",
        |old, new| http(old, new, |http| &http.oauth)),
    connection("socket", SOCKET, "Path of the Unix socket of a server",
        |old, new| matches!((&old.transport, &new.transport),
            (TransportConfig::Socket(old), TransportConfig::Socket(new)) if old != new)),
    connection("builtin", Word(&["gateway"]), "The gateway's own tools, in place of a server", |_, _| false),
    connection("disabled", Switch, "Not started, and not listed",
        |old, new| old.disabled != new.disabled),
    connection("enabled", Switch, "`false` is another form of `disabled`", |_, _| false),
    connection("protocol", Revision, "Protocol revision to speak; without, it is negotiated",
        |old, new| old.protocol != new.protocol),
    connection("revision", TEXT, "Any text; after a change of it a reload connects anew",
        |old, new| old.revision != new.revision),
    rule("enabledTools", GLOBS, "Globs over the tools that are offered; without, all",
        |old, new| old.enabled_tools != new.enabled_tools),
    spelling("enabled_tools", "enabledTools", GLOBS),
    rule("disabledTools", GLOBS, "Globs over tools that are not offered; wins over `enabledTools`",
        |old, new| old.disabled_tools != new.disabled_tools),
    spelling("disabled_tools", "disabledTools", GLOBS),
    rule("readOnlyTools", GLOBS, "Globs over tools that are read-only whatever the server says",
        |old, new| old.read_only_tools != new.read_only_tools),
    rule("tools", OVERRIDES, "Other names, descriptions and titles, by the server's own names",
        |old, new| old.overrides != new.overrides),
    rule("timeout", Seconds, "How long a call may take without progress; without, as the gateway's",
        |old, new| old.timeout != new.timeout),
    rule("required", Switch, "`/ready` answers 503 while this server is not ready",
        |old, new| old.required != new.required),
    rule("concurrency", Count, "Calls in flight at one time; more wait within their deadline",
        |old, new| old.concurrency != new.concurrency),
    rule("rate", RATE_SHAPE, "How often it may be called, by all callers together",
        |old, new| old.rate != new.rate),
    rule("forwardHeaders", FORWARDED, "Headers of callers that go along, or headers by name from claims: `${user.email}`",
        |old, new| old.forwarding != new.forwarding),
    spelling("forward_headers", "forwardHeaders", FORWARDED),
    spelling("client_header_forwarding", "forwardHeaders", Object(FORWARDING, &[])),
    spelling("clientHeaderForwarding", "forwardHeaders", Object(FORWARDING, &[])),
];

/// The differences of an entry that stand at no key of it.
pub const BESIDE: &[(&str, Effect, Differs)] = &[
    ("--env-path", Effect::ServerReplaced, |old, new| stdio(old, new, |stdio| &stdio.given_env)),
    ("tools in the lock", Effect::AtOnce, |old, new| old.lock != new.lock),
    ("limits.identities or limits.identityIdle", Effect::AtOnce, |old, new| old.dedicated != new.dedicated),
];

/// The names of all keys.
pub fn names() -> Vec<&'static str> {
    ENTRY.iter().map(|(key, _)| key.name).collect()
}

fn stdio<T: PartialEq>(old: &ServerConfig, new: &ServerConfig, part: fn(&StdioConfig) -> &T) -> bool {
    match (&old.transport, &new.transport) {
        (TransportConfig::Stdio(old), TransportConfig::Stdio(new)) => {
            // A new part fails here until it has its row.
            let StdioConfig { command: _, args: _, env: _, env_file: _, pass_env: _, cwd: _, given_env: _ } =
                new;
            part(old) != part(new)
        }
        _ => false,
    }
}

fn http<T: PartialEq>(old: &ServerConfig, new: &ServerConfig, part: fn(&HttpConfig) -> &T) -> bool {
    // Another transport is a change of `type`.
    let is_same_type = discriminant(&old.transport) == discriminant(&new.transport);
    old.transport.http().zip(new.transport.http()).is_some_and(|(old, new)| {
        let HttpConfig { url: _, other_urls: _, headers: _, oauth: _ } = new;
        is_same_type && part(old) != part(new)
    })
}
