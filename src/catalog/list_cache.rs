//! The lists of one server's tools, each written at the first request for it.

use std::sync::OnceLock;

use bytes::Bytes;

use crate::protocol::Era;

/// A list for clients with sessions, and one for clients without.
pub(super) type PerEra<T> = [OnceLock<T>; 2];

/// The lists of one server's tools, under one kind of names.
///
/// Without patterns over tools, a scope sees either all tools of a server or the read-only ones.
#[derive(Debug, Default)]
pub struct ServerLists {
    all: PerEra<Bytes>,
    read_only: PerEra<Bytes>,
}

impl ServerLists {
    pub(super) fn of(&self, read_only: bool, era: Era) -> &OnceLock<Bytes> {
        let lists = if read_only { &self.read_only } else { &self.all };
        &lists[era as usize]
    }
}
