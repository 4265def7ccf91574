//! The store that replicas of a gateway share: Redis, reached over one multiplexed connection.
//!
//! [`SharedStore`] connects in the background, and again after a failure, for as long as the gateway runs. An answer is
//! waited for half a second. After that, and until the connection is back, everything fails at once with
//! [`StoreAway`], so that a caller goes on with what its own gateway knows.
//!
//! Rates and calls in flight ([`admission`]) are one script and one round trip a call. Whatever else replicas must know of
//! each other goes through [`values`]: values that expire, values that are taken once, messages, and locks with a number
//! that orders their holders; [`names`] are lists, and
//! [`Generations`] are exchanged one by one; `members` of one name are changed one by one. [`SealedValues`] are for the
//! replicas' eyes alone.
//!
//! Each replica also keeps its status there, for the others to read (`statuses`).
//!
//! All keys begin with the configured prefix. Scripts touch several keys, so one Redis (or a primary with its replicas)
//! holds them all; Redis Cluster needs a prefix in braces, which puts them on one node.

pub mod address;
pub mod admission;
pub mod call_count;
mod connection;
mod generations;
mod held_lock;
mod members;
pub mod names;
mod rate;
mod script;
mod sealed_values;
mod statuses;
mod store;
pub mod values;

pub use address::StoreAddress;
pub use admission::{Admission, AdmissionVerdict};
pub use call_count::{CallCount, CountState};
pub use generations::{Advance, Generations, KnownGeneration};
pub use held_lock::HeldLock;
pub use members::MemberValue;
pub use rate::SharedRate;
pub use sealed_values::{SealedError, SealedValues};
pub use statuses::StoredStatus;
pub use store::{AddressSource, SharedStore, StoreAway, StoreEvent, StoreStatus};
pub use values::FencedLock;
