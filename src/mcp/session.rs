//! Sessions of clients (revisions 2024-11-05 to 2025-11-25), and the streams of events.

pub mod clock;
pub mod event_log;
pub mod holder;
pub mod id;
pub mod in_flight;
pub mod interest;
pub mod journal;
pub mod notification_stream;
pub mod order;
pub mod outlived;
mod replicas;
pub mod resource_subscription;
pub mod sealed;
mod shared;
pub mod shared_interests;
pub mod snapshot;
pub mod state;
pub mod stream;
pub mod table;
