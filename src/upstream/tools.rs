//! A server's tools: how its lists are read and kept, and what tools ask of a client.

pub mod cache;
pub mod header_params;
pub mod header_values;
pub mod list;
pub mod pages;
pub mod subschemas;
pub mod variants;
