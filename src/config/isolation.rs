//! `isolation` of an entry: which callers share its server, and `${caller}` in the texts of its command.
//!
//! A text of the configuration holds [`MARK`] in the place of `${caller}`, as no argument and no variable can hold a zero
//! byte.

use std::path::{Path, PathBuf};

use super::transport::StdioConfig;

/// Which callers share a server's process or session.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum CallerIsolation {
    /// All callers share one.
    #[default]
    Shared,
    /// Each API key has one of its own; a user without a key, too.
    Key,
    /// Each user has one of its own; a key without users, too.
    User,
    /// Each MCP session has one of its own; a caller without a session has that of its user or key.
    Session,
}

/// The values of `isolation`.
pub(super) const ISOLATIONS: [(&str, CallerIsolation); 4] = [
    ("shared", CallerIsolation::Shared),
    ("key", CallerIsolation::Key),
    ("user", CallerIsolation::User),
    ("session", CallerIsolation::Session),
];

/// What stands for the caller in a configuration.
pub(super) const PLACEHOLDER: &str = "${caller}";
/// What stands for it in a text that was read.
pub const MARK: &str = "\0caller\0";

impl CallerIsolation {
    /// Whether callers have processes or sessions of their own.
    pub fn is_on(self) -> bool {
        self != Self::Shared
    }

    /// Its value in the configuration.
    pub fn name(self) -> &'static str {
        ISOLATIONS[self as usize].0
    }
}

/// `text` with [`MARK`] for each `${caller}`; `$${caller}` is no such, and stays.
pub fn marked(text: &str) -> String {
    let mut read = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(PLACEHOLDER) {
        let (before, after) = rest.split_at(start);
        read.push_str(before);
        read.push_str(if before.ends_with('$') { PLACEHOLDER } else { MARK });
        rest = &after[PLACEHOLDER.len()..];
    }
    read + rest
}

/// As [`marked`], and with a literal `${caller}` for each `$${caller}`.
pub fn read(text: &str) -> String {
    marked(text).replace(&format!("${PLACEHOLDER}"), PLACEHOLDER)
}

/// The text that [`read`] gives back as `text`.
pub fn written(text: &str) -> String {
    text.replace(PLACEHOLDER, &format!("${PLACEHOLDER}")).replace(MARK, PLACEHOLDER)
}

impl StdioConfig {
    /// The command for `caller`, whose name takes the place of each [`MARK`].
    pub fn for_caller(&self, caller: &str) -> Self {
        let fill = |text: &String| text.replace(MARK, caller);
        let fill_path = |path: &PathBuf| PathBuf::from(path.to_string_lossy().replace(MARK, caller));
        let has_mark = |path: &&PathBuf| path.to_string_lossy().contains(MARK);
        let cwd = self.cwd.as_ref();
        Self {
            args: self.args.iter().map(fill).collect(),
            env: self.env.iter().map(|(name, value)| (name.clone(), value.filled(MARK, caller))).collect(),
            cwd: cwd.filter(has_mark).map(fill_path).or_else(|| cwd.cloned()),
            ..self.clone()
        }
    }

    /// The directories that the texts name for `caller` alone.
    ///
    /// These are the working directory, and what stands before the last `/` of a path, where [`MARK`] is in it.
    pub fn directories_of(&self, caller: &str) -> Vec<PathBuf> {
        let values = self.env.iter().filter_map(|(_, value)| value.as_literal());
        let texts = self.args.iter().map(String::as_str).chain(values);
        let cwd = self.cwd.iter().map(|path| path.to_string_lossy().into_owned());
        let found = cwd.chain(texts.filter_map(directory).map(str::to_owned));
        let found = found.filter(|directory| directory.contains(MARK));
        found.map(|directory| PathBuf::from(directory.replace(MARK, caller))).collect()
    }

    /// Whether the name of the caller stands in some text.
    pub fn names_caller(&self) -> bool {
        let cwd = self.cwd.as_deref().map(Path::to_string_lossy);
        self.args.iter().any(|text| text.contains(MARK))
            || self.env.iter().any(|(_, value)| value.has_text(MARK))
            || cwd.is_some_and(|path| path.contains(MARK))
    }
}

/// The directory of an absolute path, which may stand behind `--option=`.
fn directory(text: &str) -> Option<&str> {
    let path = match text.split_once('=') {
        Some((option, path)) if !option.contains('/') => path,
        _ => text,
    };
    let (directory, _) = path.rsplit_once('/')?;
    path.starts_with('/').then_some(directory)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::SecretText;

    #[test]
    fn the_placeholder_is_marked_unless_it_is_escaped_and_is_written_again() {
        for (text, expected) in [
            ("/x/${caller}/m", "/x/\0caller\0/m"),
            ("${caller}${caller}", "\0caller\0\0caller\0"),
            ("$${caller} ${caller}", "${caller} \0caller\0"),
            ("${caller", "${caller"),
            ("$caller ${other} $$", "$caller ${other} $$"),
        ] {
            assert_eq!(read(text), expected);
            assert_eq!(read(&written(expected)), expected);
        }
    }

    #[test]
    fn a_command_is_filled_for_its_caller_and_names_the_callers_directories() {
        let text = |text: &str| SecretText::literal(&text.replace("${caller}", MARK));
        let stdio = StdioConfig {
            command: "x".to_owned(),
            args: ["/a/${caller}", "--dir=/b/${caller}/c/d", "--plain=/c/d", "${caller}", "rel/${caller}/x"]
                .map(marked)
                .to_vec(),
            env: vec![("F".to_owned(), text("/e/${caller}/m.json")), ("G".to_owned(), text("/g/h"))],
            cwd: Some(PathBuf::from(marked("/w/${caller}"))),
            ..StdioConfig::default()
        };
        assert!(stdio.names_caller());
        let filled = stdio.for_caller("abc");
        assert_eq!(filled.args, ["/a/abc", "--dir=/b/abc/c/d", "--plain=/c/d", "abc", "rel/abc/x"]);
        assert_eq!(filled.env[0].1.as_literal(), Some("/e/abc/m.json"));
        assert_eq!(filled.cwd, Some(PathBuf::from("/w/abc")));
        assert!(!filled.names_caller());
        let directories = stdio.directories_of("abc");
        assert_eq!(directories, ["/w/abc", "/b/abc/c", "/e/abc"].map(PathBuf::from));
    }
}
