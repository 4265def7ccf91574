//! Texts of flags that several commands take, and errors about them.

use clap::error::ErrorKind;

/// `NAME=VALUE`, split at the first `=`. The text may hold a secret, so it is never repeated.
pub(super) fn variable(text: &str) -> Result<(String, String), clap::Error> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() && !text.contains('\0') => {
            Ok((name.to_owned(), value.to_owned()))
        }
        _ => Err(usage("--env takes NAME=VALUE, and one of those given has no name or no `=`")),
    }
}

/// The members of the JSON object of `--header`. The text may hold a secret, so it is never repeated.
pub(super) fn headers(text: &str) -> Result<Vec<(String, String)>, clap::Error> {
    let wrong = |reason: String| {
        usage(&format!("--header takes one JSON object of strings, such as {{\"X-Key\": \"...\"}}: {reason}"))
    };
    let object: serde_json::Map<String, serde_json::Value> = serde_json::from_str(text)
        .map_err(|error| wrong(format!("this is not one (column {})", error.column())))?;
    object
        .into_iter()
        .map(|(name, value)| match value {
            serde_json::Value::String(value) => Ok((name, value)),
            _ => Err(wrong(format!("the value of `{name}` is not a string"))),
        })
        .collect()
}

/// An error of what was typed; [`parse`](super::parse) adds the usage.
pub(super) fn usage(message: &str) -> clap::Error {
    clap::Error::raw(ErrorKind::ValueValidation, message)
}
