//! The gateway's own settings in layers, later wins: files, environment, command line.
//!
//! figment merges the layers and remembers which one a value came from; each value is taken out on its
//! own, so that every wrong one is reported, with its line, flag or variable.

use std::collections::HashMap;
use std::path::Path;

use figment::error::Kind;
use figment::value::{Dict, Map, Value};
use figment::{Figment, Metadata, Profile, Provider};
use serde::de::DeserializeOwned;

use super::Sources;
use super::document::{Node, NodeValue};
use super::fields::Fields;
use super::problem::{Place, Problems, nearest};

/// How the text of an environment variable is read. A key that happens to be all digits stays text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Text,
    /// Relative ones are relative to the file that names them.
    Path,
    Number,
    Switch,
    /// Separated by commas.
    Texts,
}

/// Every setting: its key in a file, its variable, its form.
const SETTINGS: &[(&str, &str, Form)] = &[
    ("host", "MCPO_HOST", Form::Text),
    ("port", "MCPO_PORT", Form::Number),
    ("apiKey", "MCPO_API_KEY", Form::Text),
    ("strictAuth", "MCPO_STRICT_AUTH", Form::Switch),
    ("corsAllowOrigins", "MCPO_CORS_ALLOW_ORIGINS", Form::Texts),
    ("allowedHosts", "MCPO_ALLOWED_HOSTS", Form::Texts),
    ("publicUrl", "MCPO_PUBLIC_URL", Form::Text),
    ("pathPrefix", "MCPO_PATH_PREFIX", Form::Text),
    ("rootPath", "MCPO_ROOT_PATH", Form::Text),
    ("tls.certificate", "MCPO_TLS_CERTIFICATE", Form::Path),
    ("tls.key", "MCPO_TLS_KEY", Form::Path),
    ("stateDir", "MCPO_STATE_DIR", Form::Path),
    ("exposedNameLength", "MCPO_EXPOSED_NAME_LENGTH", Form::Number),
    ("timeout", "MCPO_TIMEOUT", Form::Number),
    ("limits.bodyBytes", "MCPO_LIMITS_BODY_BYTES", Form::Number),
    ("limits.resultBytes", "MCPO_LIMITS_RESULT_BYTES", Form::Number),
    ("limits.resultsBytes", "MCPO_LIMITS_RESULTS_BYTES", Form::Number),
    ("limits.startTimeout", "MCPO_LIMITS_START_TIMEOUT", Form::Number),
    ("limits.connections", "MCPO_LIMITS_CONNECTIONS", Form::Number),
    ("limits.headerTimeout", "MCPO_LIMITS_HEADER_TIMEOUT", Form::Number),
    ("limits.bodiesBytes", "MCPO_LIMITS_BODIES_BYTES", Form::Number),
    ("limits.bodyTimeout", "MCPO_LIMITS_BODY_TIMEOUT", Form::Number),
    ("limits.idleTimeout", "MCPO_LIMITS_IDLE_TIMEOUT", Form::Number),
    ("limits.drain", "MCPO_LIMITS_DRAIN", Form::Number),
    ("limits.sessions", "MCPO_LIMITS_SESSIONS", Form::Number),
    ("limits.sessionsPerKey", "MCPO_LIMITS_SESSIONS_PER_KEY", Form::Number),
    ("limits.sessionIdle", "MCPO_LIMITS_SESSION_IDLE", Form::Number),
    ("limits.processes", "MCPO_LIMITS_PROCESSES", Form::Number),
    ("limits.processesPerKey", "MCPO_LIMITS_PROCESSES_PER_KEY", Form::Number),
    ("limits.calls", "MCPO_LIMITS_CALLS", Form::Number),
    ("limits.callsPerKey", "MCPO_LIMITS_CALLS_PER_KEY", Form::Number),
    ("limits.listeners", "MCPO_LIMITS_LISTENERS", Form::Number),
    ("limits.listenersPerKey", "MCPO_LIMITS_LISTENERS_PER_KEY", Form::Number),
    ("limits.followed", "MCPO_LIMITS_FOLLOWED", Form::Number),
    ("limits.followedPerKey", "MCPO_LIMITS_FOLLOWED_PER_KEY", Form::Number),
    ("limits.stderrLines", "MCPO_LIMITS_STDERR_LINES", Form::Number),
    ("limits.concurrency", "MCPO_LIMITS_CONCURRENCY", Form::Number),
    ("limits.concurrencyPerKey", "MCPO_LIMITS_CONCURRENCY_PER_KEY", Form::Number),
    ("limits.identities", "MCPO_LIMITS_IDENTITIES", Form::Number),
    ("limits.identitiesPerKey", "MCPO_LIMITS_IDENTITIES_PER_KEY", Form::Number),
    ("limits.identityIdle", "MCPO_LIMITS_IDENTITY_IDLE", Form::Number),
    ("lock.file", "MCPO_LOCK_FILE", Form::Path),
    ("lock.drift", "MCPO_LOCK_DRIFT", Form::Text),
    ("log.level", "MCPO_LOG_LEVEL", Form::Text),
    ("log.format", "MCPO_LOG_FORMAT", Form::Text),
    ("audit.to", "MCPO_AUDIT_TO", Form::Text),
    ("audit.file", "MCPO_AUDIT_FILE", Form::Path),
    ("audit.arguments", "MCPO_AUDIT_ARGUMENTS", Form::Text),
    ("audit.secret", "MCPO_AUDIT_SECRET", Form::Text),
    ("name", "MCPO_NAME", Form::Text),
    ("description", "MCPO_DESCRIPTION", Form::Text),
    ("version", "MCPO_VERSION", Form::Text),
];

/// Where the commands for operators look for a gateway: no setting of the gateway, and no misspelt one.
const OF_COMMANDS: &str = "MCPO_URL";

/// Top-level keys beside the settings.
const BESIDE: &[&str] = &["mcpServers", "servers", "apiKeys", "profiles"];

/// Top-level keys that other clients write into the same file.
const FOREIGN: &[&str] = &["inputs", "globalShortcut", "preferences", "theme"];

/// All layers, merged.
#[derive(Debug)]
pub(super) struct Layers {
    figment: Figment,
    places: HashMap<(String, &'static str), Place>,
}

/// One layer on its way into figment.
struct Layer {
    name: String,
    settings: Dict,
}

impl Provider for Layer {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.name.clone())
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        Ok(Profile::Default.collect(self.settings.clone()))
    }
}

impl Layers {
    /// Merges `documents`, whose roots are objects, the environment and the flags.
    pub fn new(documents: &[Fields<'_>], sources: &Sources, problems: &mut Problems) -> Self {
        let mut layers = Self { figment: Figment::new(), places: HashMap::new() };
        for (index, document) in documents.iter().enumerate() {
            let settings = from_document(document, problems);
            layers.merge(&format!("file {index}"), settings);
        }
        layers.merge("environment", from_environment(&sources.environment, problems));
        let flags = sources.overrides.0.iter();
        let flags = flags.map(|entry| (entry.key, entry.value.clone(), Place::outside_files(entry.flag)));
        layers.merge("command line", flags.collect());
        layers
    }

    /// The value of `key`, `None` when no layer has it or when it is not `expected`, which is reported.
    pub fn get<T: DeserializeOwned>(&self, key: &str, expected: &str, problems: &mut Problems) -> Option<T> {
        if !self.figment.contains(key) {
            return None;
        }
        match self.figment.extract_inner(key) {
            Ok(value) => Some(value),
            Err(error) => {
                for error in error {
                    let place = self.place(key);
                    let (found, quoted) = match &error.kind {
                        Kind::InvalidType(actual, _) => {
                            (format!(", but it is {}", kind_of(actual)), kind_of(actual) == "a string")
                        }
                        _ => (String::new(), false),
                    };
                    let hint = if quoted && place.file.is_some() { ", without quotes around it" } else { "" };
                    let message = format!("this must be {expected}{found}");
                    problems.error(&place, message, format!("write {expected}{hint}"));
                }
                None
            }
        }
    }

    /// Where the value of `key` that counts was given.
    pub fn place(&self, key: &str) -> Place {
        let layer = self.figment.find_metadata(key).map(|metadata| metadata.name.to_string());
        let known = SETTINGS.iter().find(|(known, ..)| *known == key).map(|(known, ..)| *known);
        layer.zip(known).and_then(|place| self.places.get(&place)).cloned().unwrap_or_default()
    }

    fn merge(&mut self, layer: &str, values: Vec<(&'static str, Value, Place)>) {
        let mut settings = Dict::new();
        for (key, value, place) in values {
            debug_assert!(SETTINGS.iter().any(|(known, ..)| *known == key), "`{key}` is no setting");
            insert(&mut settings, key, value);
            self.places.insert((layer.to_owned(), key), place);
        }
        let figment = std::mem::take(&mut self.figment);
        self.figment = figment.merge(Layer { name: layer.to_owned(), settings });
    }
}

fn insert(settings: &mut Dict, key: &str, value: Value) {
    let Some((group, rest)) = key.split_once('.') else {
        settings.insert(key.to_owned(), value);
        return;
    };
    let entry = settings.entry(group.to_owned()).or_insert_with(|| Value::from(Dict::new()));
    if let Value::Dict(_, inner) = entry {
        insert(inner, rest, value);
    }
}

fn from_document(root: &Fields<'_>, problems: &mut Problems) -> Vec<(&'static str, Value, Place)> {
    let top = SETTINGS.iter().map(|(key, ..)| key.split_once('.').map_or(*key, |(group, _)| group));
    let known: Vec<&str> = BESIDE.iter().copied().chain(top).fold(Vec::new(), |mut known, key| {
        if !known.contains(&key) {
            known.push(key);
        }
        known
    });
    root.report_unknown("the configuration", &known, FOREIGN, problems);
    let mut groups: Vec<(&str, Fields<'_>)> = Vec::new();
    for group in ["tls", "limits", "lock", "log", "audit"] {
        let Some((node, place)) = root.get(group) else { continue };
        let Some(fields) = Fields::new(node, place, problems) else { continue };
        let prefix = format!("{group}.");
        let known: Vec<&str> = SETTINGS.iter().filter_map(|(key, ..)| key.strip_prefix(&*prefix)).collect();
        fields.report_unknown(&format!("`{group}`"), &known, &[], problems);
        groups.push((group, fields));
    }
    let directory = root.place.file.as_deref().and_then(Path::parent).unwrap_or(Path::new(""));
    let mut values = Vec::new();
    for (key, _, form) in SETTINGS {
        let found = match key.split_once('.') {
            None => root.get(key),
            Some((group, name)) => {
                groups.iter().find(|(known, _)| *known == group).and_then(|(_, fields)| fields.get(name))
            }
        };
        let Some((node, place)) = found else { continue };
        let value = match (&node.value, form) {
            // An empty one means none, and is no name of the directory itself.
            (NodeValue::Text(text), Form::Path) if !text.is_empty() => {
                Value::from(directory.join(text).to_string_lossy().into_owned())
            }
            _ => to_value(node),
        };
        values.push((*key, value, place));
    }
    values
}

fn to_value(node: &Node) -> Value {
    match &node.value {
        NodeValue::Null => Value::from(""),
        NodeValue::Boolean(value) => Value::from(*value),
        NodeValue::Number(text) => number(text).unwrap_or_else(|| Value::from(text.as_str())),
        NodeValue::Text(text) => Value::from(text.as_str()),
        NodeValue::List(elements) => Value::from(elements.iter().map(to_value).collect::<Vec<_>>()),
        NodeValue::Object(members) => {
            let members = members.iter().map(|member| (member.name.clone(), to_value(&member.value)));
            Value::from(members.collect::<Dict>())
        }
    }
}

fn number(text: &str) -> Option<Value> {
    let whole = text.parse::<u64>().map(Value::from).or_else(|_| text.parse::<i64>().map(Value::from));
    whole.ok().or_else(|| text.parse::<f64>().ok().filter(|value| value.is_finite()).map(Value::from))
}

fn from_environment(
    variables: &[(String, String)],
    problems: &mut Problems,
) -> Vec<(&'static str, Value, Place)> {
    let mut values = Vec::new();
    // mcpo's own variable comes first, so that MCPO_LOG_LEVEL, which is put in later, wins over it.
    if let Some((_, level)) = variables.iter().find(|(name, level)| name == "LOG_LEVEL" && !level.is_empty())
    {
        values.push(("log.level", Value::from(level.as_str()), Place::outside_files("LOG_LEVEL")));
    }
    for (name, text) in variables.iter().filter(|(name, _)| name.starts_with("MCPO_") && name != OF_COMMANDS)
    {
        let place = Place::outside_files(name);
        let Some((key, _, form)) = SETTINGS.iter().find(|(_, variable, _)| variable == name) else {
            let fix = match nearest(name, SETTINGS.iter().map(|(_, variable, _)| *variable)) {
                Some(candidate) => format!("set {candidate} if that was meant, or unset it"),
                None => "unset it".to_owned(),
            };
            problems.warning(&place, "this variable is not a setting of the gateway and is ignored", fix);
            continue;
        };
        // Compose files set variables to nothing where they mean unset. An empty key is reported further
        // on: leaving it out here would open the gateway.
        if text.is_empty() && *key != "apiKey" {
            continue;
        }
        let value = match form {
            Form::Text | Form::Path => Value::from(text.as_str()),
            Form::Number => number(text).unwrap_or_else(|| Value::from(text.as_str())),
            Form::Switch => match text.to_lowercase().as_str() {
                "true" | "1" | "yes" | "on" => Value::from(true),
                "false" | "0" | "no" | "off" => Value::from(false),
                _ => Value::from(text.as_str()),
            },
            Form::Texts => {
                Value::from(text.split(',').map(|part| part.trim().to_owned()).collect::<Vec<_>>())
            }
        };
        values.push((*key, value, place));
    }
    values
}

fn kind_of(actual: &figment::error::Actual) -> &'static str {
    use figment::error::Actual;
    match actual {
        Actual::Bool(_) => "true or false",
        Actual::Unsigned(_) | Actual::Signed(_) | Actual::Float(_) => "a number",
        Actual::Str(_) | Actual::Char(_) => "a string",
        Actual::Seq => "a list",
        Actual::Map => "an object",
        _ => "something else",
    }
}
