//! Entries with a `command`: a child process that speaks over its standard streams.

use std::path::PathBuf;

use super::super::environment;
use super::super::fields::{Fields, lenient_text, mismatch, secret};
use super::super::isolation::marked;
use super::super::json_tree::JsonValue;
use super::super::problem::Problems;
use super::super::secret::SecretText;
use super::super::transport::{StdioConfig, TransportConfig};
use super::context::{object, warn_unused};
use super::isolation;
use super::placeholders::{self, Words};

/// The transport of an entry whose `command` is to be run.
pub(super) fn transport(
    fields: &Fields<'_>,
    home: Option<&str>,
    problems: &mut Problems,
) -> Option<TransportConfig> {
    warn_unused(fields, &["headers"], "a stdio server", problems);
    let is_isolated = isolation::is_on(fields);
    let command = match fields.text("command", problems) {
        Some((command, location)) if command.trim().is_empty() => {
            problems.error(&location, "the command is empty", "write the program to run");
            None
        }
        Some((command, location)) => {
            if fields.get("args").is_none() {
                placeholders::warn_of_line(command, &location, problems);
            }
            Some(Words::of(None, home, false).read(command, &location, problems))
        }
        None => {
            if fields.get("command").is_none() {
                problems.error(
                    &fields.location,
                    "a server of type `stdio` needs a `command`",
                    "add `\"command\": \"...\"`, or give the `type` that goes with `url`",
                );
            }
            None
        }
    };
    let words = Words::of(command.as_deref(), home, is_isolated);
    let args = args(fields, words, problems);
    let env = env(fields, problems);
    let env_file = env_file(fields, problems);
    let pass_env = pass_env(fields, problems);
    let cwd = cwd(fields, home, problems);
    Some(TransportConfig::Stdio(StdioConfig {
        command: command?,
        args,
        env,
        env_file,
        pass_env,
        cwd,
        given_env: Vec::new(),
    }))
}

/// Reads what an entry has of a command, for the problems in it.
pub(super) fn check_members(fields: &Fields<'_>, problems: &mut Problems) {
    fields.text("command", problems);
    args(fields, Words::of(None, None, isolation::is_on(fields)), problems);
    env(fields, problems);
    env_file(fields, problems);
    pass_env(fields, problems);
    cwd(fields, None, problems);
}

fn cwd(fields: &Fields<'_>, home: Option<&str>, problems: &mut Problems) -> Option<PathBuf> {
    let (path, location) = fields.text("cwd", problems)?;
    Some(
        location
            .directory()
            .join(Words::of(None, home, isolation::is_on(fields)).read(path, &location, problems)),
    )
}

fn args(fields: &Fields<'_>, words: Words<'_>, problems: &mut Problems) -> Vec<String> {
    let Some((node, location)) = fields.get("args") else { return Vec::new() };
    let JsonValue::List(elements) = &node.value else {
        mismatch::<()>(&location, "a list of strings", node, problems);
        return Vec::new();
    };
    let elements = elements.iter().enumerate();
    elements
        .filter_map(|(index, element)| {
            let location = location.element(index, element.position);
            let word = lenient_text(element, &location, problems)?;
            Some(words.read(&word, &location, problems))
        })
        .collect()
}

fn env(fields: &Fields<'_>, problems: &mut Problems) -> Vec<(String, SecretText)> {
    let Some(members) = object(fields, "env", problems) else { return Vec::new() };
    let mut env = Vec::new();
    for (name, node, location) in members.iter() {
        if name.is_empty() || name.contains(['=', '\0']) {
            problems.error(&location, "this cannot be the name of a variable", "use a name without `=`");
        }
        let Some(text) = lenient_text(node, &location, problems) else { continue };
        if text.contains('\0') {
            problems.error(&location, "a variable cannot hold a zero byte", "remove `\\u0000`");
        }
        let text = if isolation::is_on(fields) { marked(&text) } else { text };
        if let Some(value) = secret(&text, &location, problems) {
            env.push((name.to_owned(), value));
        }
    }
    env
}

/// VS Code's key. The file is not looked at here: it may come later, as a secret may.
fn env_file(fields: &Fields<'_>, problems: &mut Problems) -> Option<PathBuf> {
    let (path, location) = fields.text("envFile", problems)?;
    if path.is_empty() {
        problems.error(
            &location,
            "the path is empty",
            "write the path of the file, or leave the setting out",
        );
        return None;
    }
    if path.contains("${") {
        problems.slip(
            &location,
            "a path is taken as it stands, and `${...}` in it is not replaced",
            "write the path itself; a relative one starts at the directory of this file",
        );
    }
    Some(location.directory().join(path))
}

fn pass_env(fields: &Fields<'_>, problems: &mut Problems) -> Vec<String> {
    let names = fields.texts("passEnv", problems).unwrap_or_default();
    for (name, location) in names.iter().filter(|(name, _)| environment::is_own(name)) {
        problems.error(
            location,
            format!("`{name}` belongs to the gateway itself and is never passed on"),
            "remove it; give the server its own value in `env`",
        );
    }
    names.into_iter().map(|(name, _)| name).collect()
}
