//! `audit`: where the record of each call goes, and what it says of the arguments.

use std::path::PathBuf;

use super::secret::SecretText;

/// The audit trail that was asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct AuditConfig {
    /// `None` is the log, whatever its level: the journal, under systemd.
    pub file: Option<PathBuf>,
    /// Whether records hold a digest of the arguments. It is over the bytes as the caller sent them, so other
    /// white space or another order of keys is another digest.
    pub digest: bool,
    /// Makes the digest one on which arguments cannot be tried out without it.
    pub secret: Option<SecretText>,
}

/// Where records go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AuditTarget {
    Journal,
    File,
}

/// The values of `audit.to`.
pub(super) const AUDIT_TARGETS: [(&str, AuditTarget); 2] =
    [("journal", AuditTarget::Journal), ("file", AuditTarget::File)];

/// The values of `audit.arguments`, and whether records hold a digest.
pub(super) const AUDIT_ARGUMENTS: [(&str, bool); 2] = [("none", false), ("digest", true)];
