//! A rate as the store counts it.

/// A rate that all replicas count together.
#[derive(Debug, PartialEq)]
pub struct SharedRate {
    pub(super) key: Box<str>,
    /// Microseconds from one call that comes free to the next.
    pub(super) interval: f64,
    /// How many microseconds early a call may come.
    pub(super) tolerance: f64,
}
