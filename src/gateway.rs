//! The one call path of all surfaces: find the tool, check the arguments, wait for the server, call, and
//! write one line about the call.
//!
//! In this order: `find` (the tool), `serve` (the record), `call` (the arguments), `send` (the permit, the connection, a
//! second try). It knows no surface: a failure is a [`CallError`], which each surface shows in its own form.

pub mod builtin;
mod call;
mod client_catalog;
pub mod configuration;
pub mod context;
mod deadline;
pub mod error;
mod find;
pub mod limits;
mod metrics;
mod outcome;
pub mod outgoing;
pub mod record;
pub mod replicas;
mod send;
mod serve;
mod state;
pub mod status;
mod target;

pub use call::{PassThrough, SIGNED_IN, asks_for_input};
pub use configuration::Configuration;
pub use context::CallContext;
pub use error::{CallError, FindError};
pub use limits::{EarlyPermit, Limited, Limits, Permit};
pub use outcome::{CallFailure, Outcome};
pub use outgoing::{Client, Outgoing};
pub use record::{GivenUp, NamedCall};
pub use serve::{FoundCall, NoResult};
pub use state::{Gateway, Lasting};
pub use target::Target;
