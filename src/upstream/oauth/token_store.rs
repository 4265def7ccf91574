//! The tokens of each server that is signed in to: in use, on disk, and shared across reloads.

pub mod credential_store;
pub mod record;
pub mod registry;
pub mod replicas;
pub mod shared;
pub mod store;
pub mod token;
