//! One row of the table of keys: its name, what may stand there, its default, what a reload does, and its meaning.

use serde::Serialize;
use serde_json::Value;

/// One key of a configuration file.
#[derive(Debug, Clone, Copy)]
pub(super) struct ConfigKey {
    /// Its name in its object; a setting of the gateway has its group before it: `tls.key`.
    pub name: &'static str,
    pub shape: ValueShape,
    /// The value that counts without the key, as JSON; `null` without a default.
    pub default: fn() -> Value,
    pub effect: Effect,
    pub stability: Stability,
    /// The key of which this is another spelling.
    pub spelling_of: Option<&'static str>,
    /// One line for people, without a period.
    pub doc: &'static str,
}

/// When a changed value counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Effect {
    /// For every request from the reload on.
    AtOnce,
    /// For each server from its next start on.
    NextServerStart,
    /// The server is started anew beside the old one.
    ServerReplaced,
    /// Not before the gateway itself is started again.
    Restart,
}

impl Effect {
    /// The end of a sentence about a key.
    pub(super) fn sentence(self) -> &'static str {
        match self {
            Self::AtOnce => "counts at once",
            Self::NextServerStart => "counts from a server's next start",
            Self::ServerReplaced => "the server is started anew",
            Self::Restart => "counts only after the gateway is restarted",
        }
    }
}

/// Whether the key may change with a minor version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stability {
    Stable,
    /// The key follows the gateway's inner workings.
    Unstable,
}

/// The values that may stand at a key. `null` counts as absent everywhere.
#[derive(Debug, Clone, Copy)]
pub(super) enum ValueShape {
    /// Anything: the key is accepted and has no effect.
    Anything,
    /// `true` or `false`.
    Switch,
    /// A whole number of at least 1.
    Count,
    /// A whole number within these bounds.
    Between(u64, u64),
    /// A number of seconds, above 0.
    Seconds,
    /// A text that all of these regular expressions match.
    Text(&'static [&'static str]),
    /// A path; a relative one is relative to the file that names it.
    Path,
    /// One of these words.
    Word(&'static [&'static str]),
    /// One of these words, in upper or lower case.
    AnyCase(&'static [&'static str]),
    /// A protocol revision.
    Revision,
    /// `60/min`.
    Rate,
    /// The name of an environment variable that may be passed on to a server.
    PassedVariable,
    /// A list.
    List(&'static ValueShape),
    /// This text, or a number or boolean that is taken as text.
    Lenient(&'static ValueShape),
    /// An object whose names all these regular expressions match, with values of one shape.
    Map(&'static [&'static str], &'static ValueShape),
    /// An object with these keys, of which some must be there; unknown ones are ignored.
    Object(&'static [ConfigKey], &'static [&'static str]),
    /// Any of these.
    Either(&'static [ValueShape]),
    /// The map of servers.
    Servers,
}

/// Any text.
pub(super) const TEXT: ValueShape = ValueShape::Text(&[]);

/// Matches a text whose references to secrets are complete: `${env:NAME}`, `${file:PATH}`, `${credential:NAME}`; `$${` is no
/// reference.
pub(super) const SECRET: &str =
    r"^(?:\$\$\{|\$\{(?:env:[^=\x00}]+|file:[^}]+|credential:[^/\x00}]+)\}|\$(?!\$?\{)|[^$])*$";

/// Matches a text that is not empty.
pub(super) const NAMED: &str = r"[\s\S]";

/// Matches a text that is not blank.
pub(super) const FILLED: &str = r"\S";

/// Matches the addresses of HTTP; a parser of URLs skips white space before them.
pub(super) const HTTP: &str = r"^\s*[Hh][Tt][Tt][Pp][Ss]?:";

impl ConfigKey {
    /// A stable key without a default.
    pub const fn new(name: &'static str, shape: ValueShape, effect: Effect, doc: &'static str) -> Self {
        Self {
            name,
            shape,
            default: || Value::Null,
            effect,
            stability: Stability::Stable,
            spelling_of: None,
            doc,
        }
    }

    /// Another spelling of the key `name`.
    pub const fn spelling_of(mut self, name: &'static str) -> Self {
        self.spelling_of = Some(name);
        self
    }

    /// With a default.
    pub const fn or(mut self, default: fn() -> Value) -> Self {
        self.default = default;
        self
    }

    /// The group and the name within it: `tls` and `key` of `tls.key`.
    pub fn parts(&self) -> (Option<&'static str>, &'static str) {
        self.name.split_once('.').map_or((None, self.name), |(group, name)| (Some(group), name))
    }

    /// The environment variable of a setting: `MCPO_TLS_KEY` for `tls.key`.
    pub fn variable(&self) -> String {
        let mut variable = "MCPO_".to_owned();
        for character in self.name.chars() {
            match character {
                '.' => variable.push('_'),
                upper if upper.is_ascii_uppercase() => variable.extend(['_', upper]),
                lower => variable.push(lower.to_ascii_uppercase()),
            }
        }
        variable
    }
}

/// The names of `keys`, for messages and to recognise unknown ones.
pub(super) fn names(keys: &[ConfigKey]) -> Vec<&'static str> {
    keys.iter().map(|key| key.name).collect()
}

/// The words of `pairs`, which stand for values.
pub(super) const fn words<T: Copy, const N: usize>(pairs: &[(&'static str, T); N]) -> [&'static str; N] {
    let mut words = [""; N];
    let mut index = 0;
    while index < N {
        words[index] = pairs[index].0;
        index += 1;
    }
    words
}
