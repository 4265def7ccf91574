//! Definitions of servers (tools, prompts, resources, themselves), checked against the protocol's schema and the
//! strictest of its official SDKs: a client refuses a whole list for one odd member of one entry.
//!
//! Odd members are mended where a reader loses nothing by it ([`rules`]); a definition that cannot be mended is left
//! out of lists. Unknown members stay. REST documents and the lock know definitions as their servers sent them.

mod date_time;
mod findings;
mod flaw;
mod members;
mod mended;
mod output;
mod pattern;
mod rules;
mod schema;

pub use findings::{Findings, LoggedLines};
pub use flaw::{Flaw, Wrong};
pub use members::Defined;
pub use mended::{Mended, mended};

#[cfg(test)]
mod tests;
