//! The syntax of references, read without touching anything they refer to.

use std::fmt;
use std::path::{Path, PathBuf};

/// A stretch of a [`SecretText`](super::SecretText).
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) enum TemplatePart {
    Literal(String),
    Reference(SecretReference),
}

/// Where a secret is kept.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) enum SecretReference {
    /// `${env:NAME}`
    Environment(String),
    /// `${file:/path}`, already put under the directory of the configuration.
    File(PathBuf),
    /// `${credential:name}`: a file of that name in `$CREDENTIALS_DIRECTORY`.
    Credential(String),
}

/// Why a text cannot be read as one with references. Nothing of the text is quoted but the reference.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecretSyntaxError {
    #[error("a `${{` is never closed")]
    Unclosed,
    #[error("`${{{0}}}` is not a reference that this gateway knows")]
    Unknown(String),
    #[error("`${{{0}:}}` names nothing")]
    Nameless(String),
    #[error("`${{credential:{0}}}` must name a file of the credentials directory, without `/`")]
    CredentialPath(String),
    #[error("`${{env:{0}}}` cannot be the name of an environment variable")]
    VariableName(String),
}

impl SecretSyntaxError {
    /// The remedy, for the operator.
    pub fn fix(&self) -> String {
        match self {
            Self::Unclosed => "close it with `}`, or write `$${` for a literal `${`".to_owned(),
            Self::Unknown(inner) if inner == "caller" => {
                "write `${caller}` in `env`, `args` or `cwd` of a server with `isolation`, or `$${caller}` for the \
                 literal text"
                    .to_owned()
            }
            Self::Unknown(inner) if !inner.contains(':') => {
                format!("write `${{env:{inner}}}` for that variable, or `$${{{inner}}}` for the literal text")
            }
            Self::Unknown(_) => {
                "write `${env:NAME}`, `${file:/path}` or `${credential:name}`, or `$${` for a \
                                 literal `${`"
                    .to_owned()
            }
            Self::Nameless(_) => "write the name after the colon".to_owned(),
            Self::CredentialPath(_) => {
                "write the name given to LoadCredential=, or use `${file:/path}`".to_owned()
            }
            Self::VariableName(_) => "write a variable's name, without `=`".to_owned(),
        }
    }
}

impl fmt::Display for SecretReference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Environment(name) => write!(formatter, "${{env:{name}}}"),
            Self::File(path) => write!(formatter, "${{file:{}}}", path.display()),
            Self::Credential(name) => write!(formatter, "${{credential:{name}}}"),
        }
    }
}

/// Splits `text` at its references.
pub(super) fn parse(text: &str, directory: &Path) -> Result<Vec<TemplatePart>, SecretSyntaxError> {
    let mut parts = Vec::new();
    let mut literal = String::new();
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        if let Some(before) = rest[..start].strip_suffix('$') {
            literal.push_str(before);
            literal.push_str("${");
            rest = &rest[start + 2..];
            continue;
        }
        literal.push_str(&rest[..start]);
        let inner = &rest[start + 2..];
        let end = inner.find('}').ok_or(SecretSyntaxError::Unclosed)?;
        let reference = reference(&inner[..end], directory)?;
        if !literal.is_empty() {
            parts.push(TemplatePart::Literal(std::mem::take(&mut literal)));
        }
        parts.push(TemplatePart::Reference(reference));
        rest = &inner[end + 1..];
    }
    literal.push_str(rest);
    if !literal.is_empty() {
        parts.push(TemplatePart::Literal(literal));
    }
    Ok(parts)
}

fn reference(inner: &str, directory: &Path) -> Result<SecretReference, SecretSyntaxError> {
    let unknown = || SecretSyntaxError::Unknown(inner.to_owned());
    let (scheme, name) = inner.split_once(':').ok_or_else(unknown)?;
    if !["env", "file", "credential"].contains(&scheme) {
        return Err(unknown());
    }
    if name.is_empty() {
        return Err(SecretSyntaxError::Nameless(scheme.to_owned()));
    }
    match scheme {
        "env" if name.contains(['=', '\0']) => Err(SecretSyntaxError::VariableName(name.to_owned())),
        "env" => Ok(SecretReference::Environment(name.to_owned())),
        "file" => Ok(SecretReference::File(directory.join(name))),
        // A credential is a plain file name: `../` would read whatever the gateway's user can.
        _ if name.contains(['/', '\0']) || name == "." || name == ".." => {
            Err(SecretSyntaxError::CredentialPath(name.to_owned()))
        }
        _ => Ok(SecretReference::Credential(name.to_owned())),
    }
}
