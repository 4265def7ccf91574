//! `isolation` of an entry, and what speaks against it: a path of state that its callers share.

use super::super::fields::Fields;
use super::super::isolation::{CallerIsolation, ISOLATIONS, MARK};
use super::super::json_tree::JsonValue;
use super::super::nearest::nearest;
use super::super::problem::Problems;
use super::super::transport::{StdioConfig, TransportConfig};

/// A server that is known to keep state of its callers.
struct KnownServer {
    /// One of these stands in the command.
    names: &'static [&'static str],
    /// What its callers share.
    shares: &'static str,
    /// The entry that keeps them apart.
    fix: &'static str,
    /// Why its callers still share state, where they do.
    still_shares: fn(&StdioConfig) -> Option<&'static str>,
}

const KNOWN: [KnownServer; 3] = [
    KnownServer {
        names: &["server-memory", "mcp/memory"],
        shares: "all callers share one knowledge graph",
        fix: "add `\"isolation\": \"user\"` and `\"env\": { \"MEMORY_FILE_PATH\": \"/PATH/${caller}/memory.jsonl\" }`",
        still_shares: |stdio| {
            let is_apart = stdio.names_caller();
            (!is_apart)
                .then_some("its file is the same for all callers: `MEMORY_FILE_PATH` lacks `${caller}`")
        },
    },
    KnownServer {
        names: &["@playwright/mcp", "playwright-mcp", "mcp-server-playwright", "mcp/playwright"],
        shares: "all callers share one browser, and see each other's pages",
        fix: "add `\"isolation\": \"user\"`, and `--isolated` or `--user-data-dir=/PATH/${caller}` to `args`",
        still_shares: |stdio| {
            let in_memory =
                |argument: &String| argument == "--isolated" || argument.starts_with("--isolated=");
            let is_apart = stdio.names_caller() || stdio.args.iter().any(in_memory);
            (!is_apart).then_some(
                "its profile is the same for all callers: `args` lack `--isolated` and `${caller}`",
            )
        },
    },
    KnownServer {
        names: &["sequential-thinking", "sequentialthinking"],
        shares: "all callers share one list of thoughts",
        fix: "add `\"isolation\": \"session\"`",
        still_shares: |_| None,
    },
];

/// Words in the names of options and variables that stand for state.
const STATE: [&str; 12] = [
    "data", "state", "storage", "store", "db", "database", "profile", "history", "vault", "memory", "output",
    "home",
];

/// Whether the entry has an `isolation` other than `shared`.
pub(super) fn is_on(fields: &Fields<'_>) -> bool {
    match fields.get("isolation").map(|(node, _)| &node.value) {
        Some(JsonValue::Text(written)) => level(written).is_some_and(CallerIsolation::is_on),
        _ => false,
    }
}

/// The `isolation` of an entry.
pub(super) fn of_entry(
    fields: &Fields<'_>,
    transport: Option<&TransportConfig>,
    problems: &mut Problems,
) -> CallerIsolation {
    let stdio = match transport {
        Some(TransportConfig::Stdio(stdio)) => Some(stdio),
        _ => None,
    };
    let Some((written, location)) = fields.text("isolation", problems) else {
        if let Some(stdio) = stdio.filter(|_| problems.is_check() && fields.get("isolation").is_none()) {
            advise(fields, stdio, problems);
        }
        return CallerIsolation::default();
    };
    let Some(isolation) = level(written) else {
        let fix = match nearest(written, ISOLATIONS.iter().map(|(name, _)| *name)) {
            Some(candidate) => format!("write `{candidate}`"),
            None => "write `shared`, `key`, `user` or `session`".to_owned(),
        };
        problems.error(&location, format!("`{written}` is no isolation"), fix);
        return CallerIsolation::default();
    };
    if isolation.is_on() && matches!(transport, Some(TransportConfig::Gateway)) {
        let message = "`isolation` means nothing to the gateway's own tools, which keep nothing of a caller";
        problems.warning(&location, message, "remove it");
        return CallerIsolation::default();
    }
    if let Some(stdio) = stdio.filter(|_| isolation.is_on()) {
        warn_of_shared_state(fields, stdio, isolation, problems);
    }
    isolation
}

fn level(written: &str) -> Option<CallerIsolation> {
    ISOLATIONS.iter().find(|(name, _)| *name == written).map(|(_, isolation)| *isolation)
}

fn known(stdio: &StdioConfig) -> Option<&'static KnownServer> {
    let mut words = std::iter::once(&stdio.command).chain(&stdio.args);
    let is_it = |known: &&KnownServer, word: &str| known.names.iter().any(|name| word.contains(name));
    words.find_map(|word| KNOWN.iter().find(|known| is_it(known, word)))
}

fn advise(fields: &Fields<'_>, stdio: &StdioConfig, problems: &mut Problems) {
    let Some(KnownServer { shares, fix, .. }) = known(stdio) else { return };
    let fix = format!("{fix}; `\"isolation\": \"shared\"` says that it is meant so");
    problems.warning(&fields.location, format!("this server keeps state: {shares}"), fix);
}

fn warn_of_shared_state(
    fields: &Fields<'_>,
    stdio: &StdioConfig,
    isolation: CallerIsolation,
    problems: &mut Problems,
) {
    let isolation = isolation.name();
    if let Some(why) = known(stdio).and_then(|known| (known.still_shares)(stdio)) {
        let message = format!("`isolation` is `{isolation}`, and {why}");
        problems.warning(&fields.location, message, "write a path with `${caller}` in it");
    }
    let variables = stdio.env.iter().filter_map(|(name, value)| Some(("env", &**name, value.as_literal()?)));
    let arguments = stdio.args.iter().enumerate().filter_map(|(index, argument)| {
        let option = argument.strip_prefix("--")?;
        let (name, value) = option.split_once('=').or_else(|| Some((option, stdio.args.get(index + 1)?)))?;
        Some(("args", name, value))
    });
    for (key, name, _) in variables.chain(arguments).filter(|(_, name, value)| is_shared_path(name, value)) {
        let location = fields.get(key).map_or_else(|| fields.location.clone(), |(_, location)| location);
        problems.warning(
            &location,
            format!("`{name}` names one path for all callers, though `isolation` is `{isolation}`"),
            "write `${caller}` into the path, in the place of a directory or of a part of its name",
        );
    }
}

/// Whether an option or variable is a path of state in which no caller is named.
fn is_shared_path(name: &str, value: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let is_state = name.split(['_', '-']).any(|word| STATE.contains(&word));
    let is_path = (value.contains('/') || value.starts_with(['~', '.'])) && !value.contains("://");
    is_state && is_path && !value.contains(MARK)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::super::json_tree;
    use super::super::super::location::Location;
    use super::super::super::schema::tests::agrees;
    use super::super::super::server::ServerConfig;
    use super::super::super::sources::Purpose;
    use super::super::collect;
    use super::super::tests::context;
    use super::*;

    fn read(entry: &str) -> (Option<ServerConfig>, Vec<String>) {
        let mut problems = Problems::new(Purpose::Check);
        let text = format!(r#"{{"mcpServers": {{"a": {entry}}}}}"#);
        let root = json_tree::parse(Path::new("c.json"), &text, &mut problems).unwrap();
        let fields = Fields::new(&root, Location::file(Path::new("c.json")), &mut problems).unwrap();
        let server = collect(&[fields], &context(false), &mut problems).pop();
        let problems = problems.into_sorted();
        agrees(&text, &problems);
        (server, problems.iter().map(ToString::to_string).collect())
    }

    fn problems(entry: &str) -> Vec<String> {
        read(entry).1
    }

    #[test]
    fn a_level_is_read_and_another_word_is_refused() {
        for (name, isolation) in ISOLATIONS {
            let (server, problems) = read(&format!(r#"{{"command": "x", "isolation": "{name}"}}"#));
            assert_eq!((server.unwrap().isolation, problems), (isolation, Vec::<String>::new()));
            assert_eq!(isolation.name(), name);
        }
        let wrong = problems(r#"{"command": "x", "isolation": "users"}"#);
        assert!(wrong[0].starts_with("error") && wrong[0].contains("write `user`"), "{wrong:?}");
        assert!(problems(r#"{"builtin": "gateway", "isolation": "user"}"#)[0].contains("means nothing"));
    }

    #[test]
    fn the_caller_is_marked_in_an_isolated_entry_and_refused_in_another() {
        let entry = |isolation: &str| {
            format!(
                r#"{{"command": "x", "args": ["/a/${{caller}}", "$${{caller}}"], "cwd": "/w/${{caller}}",
                     "env": {{"A": "/b/${{caller}}/c", "B": "$${{caller}}"}}, "isolation": "{isolation}"}}"#
            )
        };
        let (server, problems) = read(&entry("user"));
        assert!(problems.is_empty(), "{problems:?}");
        let TransportConfig::Stdio(stdio) = server.unwrap().transport else { panic!("it is a command") };
        let filled = stdio.for_caller("me");
        assert_eq!(filled.args, ["/a/me", "${caller}"]);
        let values: Vec<_> = filled.env.iter().map(|(_, value)| value.as_literal().unwrap()).collect();
        assert_eq!((values, filled.cwd.unwrap().to_str().unwrap()), (vec!["/b/me/c", "${caller}"], "/w/me"));
        let (_, problems) = read(&entry("shared"));
        assert_eq!(problems.len(), 3, "{problems:?}");
        assert!(
            problems.iter().all(|problem| problem.starts_with("error") && problem.contains("`isolation`"))
        );
    }

    #[test]
    fn state_that_callers_still_share_is_warned_of() {
        let named = |entry: &str, part: &str| {
            let problems = problems(entry);
            let is_named =
                problems.iter().any(|problem| problem.starts_with("warning") && problem.contains(part));
            assert!(is_named, "{entry}: {problems:?}");
        };
        named(
            r#"{"command": "x", "isolation": "user", "env": {"DATA_DIR": "/srv/x"}}"#,
            "`DATA_DIR` names one path",
        );
        named(r#"{"command": "x", "isolation": "key", "args": ["--db-path=./x.db"]}"#, "`db-path` names one");
        named(
            r#"{"command": "x", "isolation": "key", "args": ["--user-data-dir", "/x"]}"#,
            "`user-data-dir`",
        );
        named(
            r#"{"command": "npx", "args": ["@modelcontextprotocol/server-memory"], "isolation": "user"}"#,
            "lacks `${caller}`",
        );
        named(
            r#"{"command": "npx", "args": ["@playwright/mcp@0.0.1"], "isolation": "user"}"#,
            "lack `--isolated`",
        );
        named(r#"{"command": "npx", "args": ["@playwright/mcp@0.0.1"]}"#, "share one browser");
        named(r#"{"command": "/bin/mcp-server-memory"}"#, "share one knowledge graph");
        named(r#"{"command": "mcp-server-sequential-thinking"}"#, "share one list of thoughts");
        for good in [
            r#"{"command": "mcp-server-memory", "isolation": "user", "env": {"MEMORY_FILE_PATH": "/x/${caller}/m"}}"#,
            r#"{"command": "mcp-server-memory", "isolation": "shared"}"#,
            r#"{"command": "x", "args": ["@playwright/mcp", "--isolated", "--executable-path", "/bin/c"], "isolation": "user"}"#,
            r#"{"command": "x", "isolation": "user", "env": {"DATABASE_URL": "postgres://h/x", "STATE": "on"}}"#,
            r#"{"command": "mcp-server-sequential-thinking", "isolation": "session"}"#,
        ] {
            assert!(problems(good).is_empty(), "{good}: {:?}", problems(good));
        }
    }
}
