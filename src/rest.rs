//! (to be written)

pub mod problem;
pub mod result;
