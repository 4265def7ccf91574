//! The REST face.

pub mod swagger;
