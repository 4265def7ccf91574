//! `audit`: where the record of each call goes, and what it says of the arguments.

use std::path::PathBuf;

use super::SecretText;
use super::layers::Layers;
use super::problem::{Problems, nearest};
use super::settings::{secret, text};

/// The audit trail that was asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct AuditConfig {
    /// `None` is the log, whatever its level: the journal, under systemd.
    pub file: Option<PathBuf>,
    /// Records tell a digest of the arguments: of the bytes as the caller sent them, so other white space or another order
    /// of keys is another digest.
    pub digest: bool,
    /// Makes the digest one that nobody can try out arguments on without it.
    pub secret: Option<SecretText>,
}

pub(super) fn of(layers: &Layers, problems: &mut Problems) -> Option<AuditConfig> {
    let to = word(layers, "audit.to", ["journal", "file"], problems);
    let file = text(layers, "audit.file", problems).map(PathBuf::from);
    let arguments = word(layers, "audit.arguments", ["none", "digest"], problems);
    let secret = text(layers, "audit.secret", problems)
        .and_then(|key| secret(&key, &layers.place("audit.secret"), problems));
    let digest = arguments == Some("digest");
    match (to, &file) {
        (Some("file"), None) => problems.error(
            &layers.place("audit.to"),
            "`audit.file` is missing beside this",
            "name the file, such as \"file\": \"/var/log/mcpo/audit.jsonl\"",
        ),
        (Some("journal"), Some(_)) => problems.slip(
            &layers.place("audit.file"),
            "the trail goes to the journal, so this file is not written",
            "remove it, or write \"to\": \"file\"",
        ),
        (None, None) if arguments.is_some() || secret.is_some() => {
            let key = if arguments.is_some() { "audit.arguments" } else { "audit.secret" };
            problems.slip(
                &layers.place(key),
                "there is no audit trail that this could be about",
                "add \"to\": \"journal\", or \"file\" with a path",
            );
        }
        _ => {}
    }
    if secret.is_some() && !digest {
        let message = "this key is for digests of arguments, and there are none";
        problems.slip(&layers.place("audit.secret"), message, "add \"arguments\": \"digest\"");
    }
    if secret.as_ref().and_then(SecretText::as_literal).is_some_and(|key| key.trim().is_empty()) {
        problems.error(&layers.place("audit.secret"), "the key is empty", "give one, or remove it");
    }
    let file = file.filter(|_| to != Some("journal"));
    (to.is_some() || file.is_some()).then_some(AuditConfig { file, digest, secret })
}

fn word(
    layers: &Layers,
    key: &str,
    words: [&'static str; 2],
    problems: &mut Problems,
) -> Option<&'static str> {
    let written = text(layers, key, problems)?;
    let known = words.into_iter().find(|word| *word == written);
    if known.is_none() {
        let fix = match nearest(&written, words) {
            Some(candidate) => format!("write `{candidate}`"),
            None => format!("write `{}` or `{}`", words[0], words[1]),
        };
        problems.error(&layers.place(key), format!("`{written}` is none of its values"), fix);
    }
    known
}
