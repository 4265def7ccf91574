//! Revisions of MCP, and the two eras that they fall into.

/// The revisions that have sessions, the latest first.
pub const WITH_SESSIONS: [&str; 4] = ["2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"];

/// The revision that has no sessions.
pub const STATELESS: &str = "2026-07-28";

/// The first revision whose clients poll the streams of answers (SEP-1699).
pub const POLLING_SINCE: &str = "2025-11-25";

/// Every known revision, the oldest first.
pub fn all() -> impl Iterator<Item = &'static str> {
    WITH_SESSIONS.into_iter().rev().chain([STATELESS])
}

/// How requests and results are written on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Era {
    /// Revisions up to 2025-11-25: the client declares itself once, in `initialize`.
    Sessions,
    /// Revision 2026-07-28: the client declares itself in each request.
    Stateless,
}

impl Era {
    /// The era of `revision`; unknown revisions count as [`Era::Sessions`].
    pub fn of(revision: &str) -> Self {
        if revision == STATELESS { Self::Stateless } else { Self::Sessions }
    }
}
