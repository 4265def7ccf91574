//! (to be written)

pub mod arguments;
