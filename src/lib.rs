//! mcpo: many MCP servers behind one HTTP port.
//!
//! Configuration becomes upstreams, upstreams fill a catalog, a gateway makes calls, and thin faces
//! (REST, MCP, the OpenAI form, sign-ins and a page for people) speak to callers.
//! Start reading at [`app`], which puts the floors together.
//!
//! # Floors
//!
//! A file imports lower floors, its parent and its sisters, nothing else; `tests/integration/floors.rs`
//! reads the `use crate::` lines and holds them to this table.
//!
//! ```text
//! 7  main, cli
//! 6  app
//! 5  rest | mcp | openai | web | signin (siblings never import each other)
//! 4  gateway | http      (gateway knows no HTTP; http knows no tools)
//! 3  catalog
//! 2  upstream
//! 1  config
//! 0  compute, file, json, protocol, room, shares, telemetry, metrics, shutdown, systemd, trace
//! ```
//!
//! # Invariants
//!
//! - `gateway` and everything below it know neither status codes nor JSON-RPC faces of ours.
//! - `config` does no I/O except in `load` and in secret resolution, and is the only reader of `std::env`.
//! - Naming, OpenAPI, schema hoisting, result rendering and back-off are pure and table-tested.
//! - The call path takes no lock, clones no schema and parses nothing twice: arguments travel as the
//!   caller's own bytes, results as the server's. A call in a session of MCP takes the short locks of that session,
//!   and one that waits for its turn at a server those of the server's queue.

pub mod app;
pub mod catalog;
pub mod cli;
pub mod compute;
pub mod config;
pub mod file;
pub mod gateway;
pub mod http;
pub mod json;
pub mod mcp;
pub mod metrics;
pub mod openai;
pub mod protocol;
pub mod rest;
pub mod room;
pub mod shares;
pub mod shutdown;
pub mod signin;
pub mod systemd;
pub mod telemetry;
pub mod trace;
pub mod upstream;
pub mod web;
