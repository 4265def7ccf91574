//! Text that may hold secrets: `${env:NAME}`, `${file:/path}`, `${credential:name}`; `$${` is a literal `${`.
//!
//! Parsing never reads anything; [`SecretText::resolve`] does, apart from the threads that serve, each time a server is
//! started, so that a secret which appears later heals the server that waited for it. Resolved text is never searched
//! for further references.

mod error;
mod read;
mod template;

use std::ffi::OsString;
use std::fmt;
use std::path::Path;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use secrecy::{ExposeSecret as _, SecretString};

use crate::file;
pub use error::SecretError;
pub(super) use read::text as read_text;
pub use template::SecretSyntaxError;
use template::{SecretReference, TemplatePart};

/// A text of the configuration, with the references it holds still unread.
///
/// `Debug` shows the template when it holds references, and `[redacted]` for plain text, which may be a
/// secret in the file.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct SecretText {
    parts: Vec<TemplatePart>,
}

impl SecretText {
    /// `text` as it stands, with nothing in it read as a reference.
    pub fn literal(text: &str) -> Self {
        Self { parts: vec![TemplatePart::Literal(text.to_owned())] }
    }

    /// Reads the references in `text`; a relative `${file:}` is relative to the working directory.
    pub fn parse(text: &str) -> Result<Self, SecretSyntaxError> {
        Self::parse_in(text, Path::new(""))
    }

    /// Reads the references in `text`; a relative `${file:}` is relative to `directory`.
    pub fn parse_in(text: &str, directory: &Path) -> Result<Self, SecretSyntaxError> {
        Ok(Self { parts: template::parse(text, directory)? })
    }

    /// Whether the text holds a reference, so that its value is known only after [`SecretText::resolve`].
    pub fn is_secret(&self) -> bool {
        self.parts.iter().any(|part| matches!(part, TemplatePart::Reference(_)))
    }

    /// The text itself when it holds no reference. It may still be a secret: never log it.
    pub fn as_literal(&self) -> Option<&str> {
        match self.parts.as_slice() {
            [] => Some(""),
            [TemplatePart::Literal(text)] => Some(text),
            _ => None,
        }
    }

    /// Whether `mark` stands in its literal parts.
    pub(super) fn has_text(&self, mark: &str) -> bool {
        self.parts.iter().any(|part| matches!(part, TemplatePart::Literal(text) if text.contains(mark)))
    }

    /// The text with `value` for each `mark` in its literal parts.
    pub(super) fn filled(&self, mark: &str, value: &str) -> Self {
        let parts = self.parts.iter().map(|part| match part {
            TemplatePart::Literal(text) => TemplatePart::Literal(text.replace(mark, value)),
            TemplatePart::Reference(reference) => TemplatePart::Reference(reference.clone()),
        });
        Self { parts: parts.collect() }
    }

    /// The one credential that the whole text is, by its name.
    pub fn as_credential(&self) -> Option<&str> {
        match self.parts.as_slice() {
            [TemplatePart::Reference(SecretReference::Credential(name))] => Some(name),
            _ => None,
        }
    }

    /// The one file that the whole text is.
    pub fn as_file(&self) -> Option<&Path> {
        match self.parts.as_slice() {
            [TemplatePart::Reference(SecretReference::File(path))] => Some(path),
            _ => None,
        }
    }

    /// Names of the credentials that the text refers to.
    pub fn credential_names(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            TemplatePart::Reference(SecretReference::Credential(name)) => Some(name.as_str()),
            _ => None,
        })
    }

    /// Names of the environment variables that the text refers to.
    pub fn environment_names(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            TemplatePart::Reference(SecretReference::Environment(name)) => Some(name.as_str()),
            _ => None,
        })
    }

    /// Whether [`SecretText::resolve`] touches files.
    pub(super) fn reads_files(&self) -> bool {
        let of_file = |part: &TemplatePart| {
            matches!(part, TemplatePart::Reference(SecretReference::File(_) | SecretReference::Credential(_)))
        };
        self.parts.iter().any(of_file)
    }

    /// Whether a file that it refers to is a pipe: what that holds is there for one reader. Touches files.
    pub(super) fn reads_pipe(&self) -> bool {
        let is_pipe = |part: &TemplatePart| matches!(part, TemplatePart::Reference(SecretReference::File(path)) if file::is_pipe(path));
        self.parts.iter().any(is_pipe)
    }

    /// Reads every reference and puts the text together. A byte order mark at the beginning of a file and one newline at
    /// its end are dropped.
    pub async fn resolve(&self) -> Result<SecretString, SecretError> {
        if !self.reads_files() {
            return self.blocking_resolve();
        }
        let text = self.clone();
        file::apart(move || text.blocking_resolve()).await?
    }

    /// As [`SecretText::resolve`], on this thread, which may have to wait for a file.
    pub fn blocking_resolve(&self) -> Result<SecretString, SecretError> {
        self.resolve_with(&|name| std::env::var_os(name))
    }

    /// As [`SecretText::resolve`], for an address: a secret within it is percent-encoded, one that is all of it is not.
    pub(super) async fn resolve_in_url(&self) -> Result<SecretString, SecretError> {
        if let [TemplatePart::Reference(_)] = self.parts.as_slice() {
            return self.resolve().await;
        }
        let mut url = String::new();
        for part in &self.parts {
            match part {
                TemplatePart::Literal(text) => url.push_str(text),
                TemplatePart::Reference(_) => {
                    let secret = Self { parts: vec![part.clone()] }.resolve().await?;
                    url.extend(utf8_percent_encode(secret.expose_secret(), NON_ALPHANUMERIC));
                }
            }
        }
        Ok(SecretString::from(url))
    }

    /// The text with `placeholder` in place of each reference.
    pub(super) fn with_placeholders(&self, placeholder: &str) -> String {
        let parts = self.parts.iter().map(|part| match part {
            TemplatePart::Literal(text) => text,
            TemplatePart::Reference(_) => placeholder,
        });
        parts.collect()
    }

    fn resolve_with(&self, variable: &dyn Fn(&str) -> Option<OsString>) -> Result<SecretString, SecretError> {
        // Reserving the whole length first keeps the text from being copied, and its old copies from
        // staying behind in freed memory.
        let parts =
            self.parts.iter().map(|part| read::part(part, variable)).collect::<Result<Vec<_>, _>>()?;
        let mut text = String::with_capacity(parts.iter().map(|part| part.len()).sum());
        for part in &parts {
            text.push_str(part);
        }
        Ok(SecretString::from(text))
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.is_secret() {
            return formatter.write_str("[redacted]");
        }
        self.parts.iter().try_for_each(|part| match part {
            TemplatePart::Literal(text) => formatter.write_str(&text.replace("${", "$${")),
            TemplatePart::Reference(reference) => write!(formatter, "{reference}"),
        })
    }
}

#[cfg(test)]
mod tests;
