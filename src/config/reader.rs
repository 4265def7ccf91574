//! Readers of settings: what may stand at a key, how it is taken out of the layers and checked, and how it is written.

use std::path::{Path, PathBuf};
use std::time::Duration;

use globset::{GlobBuilder, GlobSet};
use serde::Deserialize;
use serde_json::{Value, json};
use tracing_subscriber::filter::Targets;
use url::Url;

use super::audit::{AUDIT_ARGUMENTS as ARGUMENTS, AUDIT_TARGETS, AuditTarget};
use super::fields;
use super::key::{self, ValueShape, words};
use super::layers::Layers;
use super::lock::{DRIFT_POLICIES, DriftPolicy};
use super::log::{LOG_FORMATS, LogFormat};
use super::nearest::nearest;
use super::problem::Problems;
use super::secret::SecretText;
use super::shared;

/// How a setting is read.
pub(super) struct SettingReader<T> {
    pub shape: ValueShape,
    /// The value at a key; `None` when no layer has it, or has a wrong one, which is reported.
    pub read: fn(&Layers, &str, &mut Problems) -> Option<T>,
    /// A default as it would be written in a file.
    pub write: fn(&T) -> Value,
}

/// A key without a default.
fn nothing<T>(_: &Option<T>) -> Value {
    Value::Null
}

pub(super) const SWITCH: SettingReader<bool> = SettingReader {
    shape: ValueShape::Switch,
    read: |layers, key, problems| layers.get(key, "true or false", problems),
    write: |value| json!(value),
};

pub(super) const COUNT: SettingReader<usize> =
    SettingReader { shape: ValueShape::Count, read: count, write: |value| json!(value) };

pub(super) const SOME_COUNT: SettingReader<Option<usize>> = SettingReader {
    shape: ValueShape::Count,
    read: |layers, key, problems| count(layers, key, problems).map(Some),
    write: nothing,
};

pub(super) const SECONDS: SettingReader<Duration> = SettingReader {
    shape: ValueShape::Seconds,
    read: |layers, key, problems| {
        let seconds = layers.get(key, "a number of seconds", problems)?;
        fields::seconds(seconds, &layers.location(key), problems)
    },
    write: |value| json!(value.as_secs()),
};

pub(super) const PORT: SettingReader<u16> = SettingReader {
    shape: ValueShape::Between(0, 65_535),
    read: |layers, key, problems| layers.get(key, "a port number from 0 to 65535", problems),
    write: |value| json!(value),
};

/// Below 32, a hash leaves no room for a word of the name; above 64, models' interfaces refuse the tool.
pub(super) const LENGTH: SettingReader<usize> = SettingReader {
    shape: ValueShape::Between(32, 64),
    read: |layers, key, problems| {
        let length: usize = layers.get(key, "a whole number from 32 to 64", problems)?;
        if (32..=64).contains(&length) {
            return Some(length);
        }
        problems.error(
            &layers.location(key),
            format!("{length} characters are no length for names of tools"),
            "write a whole number from 32 to 64, or leave it out for 50",
        );
        None
    },
    write: |value| json!(value),
};

pub(super) const TEXT: SettingReader<String> =
    SettingReader { shape: key::TEXT, read: text, write: |value| json!(value) };

pub(super) const PATH: SettingReader<Option<PathBuf>> = SettingReader {
    shape: ValueShape::Path,
    read: |layers, key, problems| text(layers, key, problems).map(|path| Some(path.into())),
    write: nothing,
};

pub(super) const SECRET: SettingReader<Option<SecretText>> = SettingReader {
    shape: ONE_SECRET,
    read: |layers, key, problems| {
        let written = text(layers, key, problems)?;
        fields::secret(&written, &layers.location(key), problems).map(Some)
    },
    write: nothing,
};

pub(super) const STORE: SettingReader<Option<SecretText>> = SettingReader {
    shape: ValueShape::Text(&[key::SECRET, r"^\s*(?:\$\{|rediss?://)"]),
    read: |layers, key, problems| {
        let address = (SECRET.read)(layers, key, problems)??;
        if let Some((message, fix)) = shared::flaw(&address) {
            problems.error(&layers.location(key), message, fix);
            return None;
        }
        Some(Some(address))
    },
    write: nothing,
};

pub(super) const KEY_PREFIX: SettingReader<String> = SettingReader {
    shape: ValueShape::Text(&[r"^[A-Za-z0-9:._{}/-]*$"]),
    read: |layers, key, problems| {
        let prefix = text(layers, key, problems)?;
        if !shared::is_prefix(&prefix) {
            let message = "the names of keys cannot begin with this";
            let fix = "write letters, digits and any of `:._-{}/`, such as `mcpo:`";
            problems.error(&layers.location(key), message, fix);
        }
        Some(prefix)
    },
    write: |value| json!(value),
};

/// One secret, or a list of them.
pub(super) const SECRETS: SettingReader<Vec<SecretText>> = SettingReader {
    shape: ValueShape::Either(&[ONE_SECRET, ValueShape::List(&ONE_SECRET)]),
    read: |layers, key, problems| {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            One(String),
            Several(Vec<String>),
        }
        let location = layers.location(key);
        let written = match layers.get(key, "a secret or a list of secrets", problems)? {
            Written::One(text) => vec![text],
            Written::Several(texts) => texts,
        };
        if written.iter().any(|text| text.trim().is_empty()) {
            problems.error(
                &location,
                "a secret is empty",
                "give one, such as `openssl rand -base64 32` prints, or remove it",
            );
            return None;
        }
        written.iter().map(|text| fields::secret(text, &location, problems)).collect()
    },
    write: |_| Value::Null,
};

const ONE_SECRET: ValueShape = ValueShape::Text(&[key::SECRET, key::FILLED]);

pub(super) const HOST: SettingReader<String> = SettingReader {
    shape: ValueShape::Text(&[r"^(?!unix:(?!/))[\s\S]*\S"]),
    read: |layers, key, problems| {
        let host = text(layers, key, problems)?;
        let location = layers.location(key);
        if host.trim().is_empty() {
            let fix = "write 127.0.0.1, or 0.0.0.0 for every address";
            problems.error(&location, "the address is empty", fix);
        }
        // The working directory of a service is not what its operator has in mind.
        if host.strip_prefix("unix:").is_some_and(|path| !Path::new(path).is_absolute()) {
            problems.error(
                &location,
                "the path of the Unix socket is not absolute",
                "write it from the root, such as unix:/run/mcpo/mcpo.sock",
            );
        }
        // Users copy addresses out of URLs.
        let inner = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        Some(inner.map_or_else(|| host.clone(), str::to_owned))
    },
    write: |value| json!(value),
};

const PATH_SHAPE: ValueShape = ValueShape::Text(&[r"^[^?#\\ \t\r\n]*$"]);

pub(super) const PATH_PREFIX: SettingReader<String> = SettingReader {
    shape: PATH_SHAPE,
    read: |layers, key, problems| path(layers, key, problems).map(|path| format!("{path}/")),
    write: |value| json!(value),
};

pub(super) const ROOT_PATH: SettingReader<String> =
    SettingReader { shape: PATH_SHAPE, read: path, write: |value| json!(value) };

pub(super) const ORIGINS: SettingReader<Vec<String>> = SettingReader {
    shape: ValueShape::List(&key::TEXT),
    read: |layers, key, problems| {
        let origins: Vec<String> = layers.get(key, "a list of origins", problems)?;
        for origin in origins.iter().filter(|origin| *origin != "*" && *origin != "null") {
            let exact = Url::parse(origin).is_ok_and(|url| url.origin().ascii_serialization() == *origin);
            if !exact {
                problems.slip(
                    &layers.location(key),
                    format!("`{origin}` is no origin, so no browser will ever match it"),
                    "write scheme, host and port as browsers send them, such as https://chat.example.org, or `*`",
                );
            }
        }
        Some(origins)
    },
    write: |value| json!(value),
};

pub(super) const HOST_PATTERNS: SettingReader<Vec<String>> = SettingReader {
    shape: ValueShape::List(&ValueShape::Text(&["^[^/]+$"])),
    read: |layers, key, problems| {
        let hosts: Vec<String> = layers.get(key, "a list of host names", problems)?;
        let location = layers.location(key);
        let mut globs = GlobSet::builder();
        for host in &hosts {
            if host.is_empty() || host.contains('/') {
                problems.error(
                    &location,
                    format!("`{host}` is no host name"),
                    "write the name alone, such as mcp.example.org, without scheme and path",
                );
                continue;
            }
            match GlobBuilder::new(host).case_insensitive(true).build() {
                Ok(glob) => {
                    globs.add(glob);
                }
                Err(error) => problems.error(
                    &location,
                    format!("`{host}` is no pattern over host names: {}", error.kind()),
                    "write a host's name, with `*` and `?` as wildcards, such as *.example.org",
                ),
            }
        }
        // Each may be good and all together still be more than one matcher can hold.
        if let Err(error) = globs.build() {
            let message = format!("these patterns cannot be used together: {}", error.kind());
            problems.error(&location, message, "list fewer or shorter patterns");
        }
        Some(hosts)
    },
    write: |value| json!(value),
};

pub(super) const PUBLIC_URL: SettingReader<Option<String>> = SettingReader {
    shape: ValueShape::Text(&[key::HTTP]),
    read: |layers, key, problems| {
        let url = text(layers, key, problems)?;
        let good =
            Url::parse(&url).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        if !good {
            problems.error(
                &layers.location(key),
                "this is no http or https URL",
                "write the address that users type, such as https://mcp.example.org",
            );
        }
        Some(Some(url))
    },
    write: nothing,
};

pub(super) const LOG_LEVEL: SettingReader<String> = SettingReader {
    shape: key::TEXT,
    read: |layers, key, problems| {
        let written = text(layers, key, problems)?;
        let level = log_level(&written);
        if level.is_none() {
            // A gateway that does not log its faults because of a typing error in the level would be worse.
            problems.warning(
                &layers.location(key),
                format!("`{written}` is not a log level, defaulting to INFO"),
                "write error, warning, info, debug or trace, or a filter such as info,mcpo=debug",
            );
        }
        level
    },
    write: |value| json!(value),
};

pub(super) const LOG_FORMAT: SettingReader<LogFormat> = SettingReader {
    shape: ValueShape::Word(&words(&LOG_FORMATS)),
    read: |layers, key, problems| word(layers, key, &LOG_FORMATS, problems),
    write: |_| json!("auto"),
};

pub(super) const DRIFT: SettingReader<Option<DriftPolicy>> = SettingReader {
    shape: ValueShape::Word(&words(&DRIFT_POLICIES)),
    read: |layers, key, problems| word(layers, key, &DRIFT_POLICIES, problems).map(Some),
    write: |_| json!("warn"),
};

pub(super) const AUDIT_TARGET: SettingReader<Option<AuditTarget>> = SettingReader {
    shape: ValueShape::Word(&words(&AUDIT_TARGETS)),
    read: |layers, key, problems| word(layers, key, &AUDIT_TARGETS, problems).map(Some),
    write: nothing,
};

pub(super) const AUDIT_ARGUMENTS: SettingReader<Option<bool>> = SettingReader {
    shape: ValueShape::Word(&words(&ARGUMENTS)),
    read: |layers, key, problems| word(layers, key, &ARGUMENTS, problems).map(Some),
    write: |_| json!("none"),
};

fn text(layers: &Layers, key: &str, problems: &mut Problems) -> Option<String> {
    layers.get(key, "a string", problems)
}

fn count(layers: &Layers, key: &str, problems: &mut Problems) -> Option<usize> {
    let count = layers.get(key, "a whole number of at least 1", problems)?;
    if count == 0 {
        let fix = "write a larger number, or leave it out";
        problems.error(&layers.location(key), "this must be at least 1", fix);
        return None;
    }
    Some(count)
}

/// A path that begins with `/` and does not end with one; empty for none.
fn path(layers: &Layers, key: &str, problems: &mut Problems) -> Option<String> {
    let path = text(layers, key, problems)?;
    let inner = path.trim_matches('/');
    if inner.contains(|character: char| character.is_whitespace() || "?#\\".contains(character)) {
        let message = "a path cannot hold white space, `?`, `#` or `\\`";
        problems.error(&layers.location(key), message, "write a path such as /tools");
        return None;
    }
    Some(if inner.is_empty() { String::new() } else { format!("/{inner}") })
}

/// The filter directive for a level as Python or Rust name it, or for a whole filter.
fn log_level(written: &str) -> Option<String> {
    let level = match written.trim().to_lowercase().as_str() {
        "critical" | "fatal" | "error" => "error",
        "warning" | "warn" => "warn",
        "info" => "info",
        "debug" => "debug",
        "trace" | "notset" => "trace",
        "off" => "off",
        // A bare word would be taken for the name of a module, so only what sets a level is a filter.
        filter if filter.contains('=') => {
            return filter.parse::<Targets>().is_ok().then(|| written.trim().to_owned());
        }
        _ => return None,
    };
    Some(level.to_owned())
}

/// The value that the word at `key` stands for.
fn word<T: Copy, const N: usize>(
    layers: &Layers,
    key: &str,
    values: &[(&'static str, T); N],
    problems: &mut Problems,
) -> Option<T> {
    let written = text(layers, key, problems)?;
    if let Some((_, value)) = values.iter().find(|(word, _)| *word == written) {
        return Some(*value);
    }
    let known = words(values);
    let fix = match nearest(&written, known) {
        Some(candidate) => format!("write `{candidate}`; the values are {}", known.join(", ")),
        None => format!("write one of {}", known.join(", ")),
    };
    problems.error(&layers.location(key), format!("`{written}` is not a value of `{key}`"), fix);
    None
}
