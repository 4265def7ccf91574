//! mcpo: many MCP servers behind one HTTP port.
//!
//! Configuration becomes upstreams, upstreams fill a catalog, and a gateway makes calls. Thin surfaces (`rest`, `mcp`,
//! `openai`, `signin` and `web`) serve clients. Start reading at [`app`], which puts the modules together.
//!
//! # Glossary
//!
//! - **client**: a program that sends requests to the gateway; its side is *downstream*
//! - **setting**: a named value of the configuration; *key* alone is an API key, but in the code of `config` also its name
//! - **caller**: a client with the rights of its API key and profile
//! - **surface**: one way to use the gateway: `rest`, `mcp`, `openai`, `web` (the page), `signin`
//! - **call**: one `tools/call`, from any surface to a server and back
//! - **outcome**: how a call ended, under one name in the log, the audit trail and the metrics
//! - **permit**: the right to make one call now, within the limits of its API key
//! - **server**: one entry of `mcpServers`; the gateway's own process is the *gateway*
//! - **upstream**: the gateway's side of one server: it connects, and connects again after a failure
//! - **connection**: one open way to a server, over its **transport** (`stdio`, `socket`, `streamable-http`, `sse`)
//! - **era**: the revisions of MCP with sessions (up to 2025-11-25), or the one without (2026-07-28)
//! - **session**: the state that a client opens with `initialize`, and that its later requests name
//! - **catalog**: the snapshot of all servers with their tools, resources and prompts
//! - **tool**: a tool of a server; its **exposed name** is the one that clients use
//! - **scope**: the servers and tools that a caller may see
//! - **profile**: a choice of servers and tools under a name
//! - **replica**: one of several gateways with the same configuration, which share a **store**
//! - **lock**: the file that says how tools must look; a tool that differs is **quarantined**
//!
//! # Levels
//!
//! A module imports modules of lower levels, its parent and its siblings, nothing else. `tests/integration/floors.rs`
//! reads the `use crate::` lines and checks them against this table.
//!
//! ```text
//! 7  main, cli
//! 6  app
//! 5  rest | mcp | openai | web | signin (siblings never import each other)
//! 4  gateway | http      (gateway knows no HTTP; http knows no tools)
//! 3  catalog | issuer | authorization_server
//! 2  upstream
//! 1  config, memory_budget, shared_store
//! 0  compute, file, json, protocol, seal, shares, sync, telemetry, metrics, shutdown, systemd, trace, unix_time
//! ```
//!
//! # Invariants
//!
//! - `gateway` and everything below it map no failure to a status or JSON-RPC code; `protocol` only defines the codes.
//! - `config` does no I/O except in `load` and in secret resolution, and is the only reader of `std::env`.
//! - Naming, OpenAPI, schema hoisting, result rendering and back-off are pure and table-tested.
//! - The call path clones no schema: arguments travel as the caller's own bytes, results as the server's. A REST call
//!   takes no lock and parses nothing twice. An MCP call takes the short locks of its session, and each layer that reads
//!   its text scans it once: message, declarations (stateless era), params. A call that waits at a server takes the
//!   locks of that server's queue.
//!
//! # Why rmcp's server does not serve MCP
//!
//! rmcp carries OAuth towards servers. Every message of MCP passes as bytes instead, for two reasons that were measured
//! with rmcp 3.11.0:
//!
//! - Its types lose data: `execution` and vendor keys of tools and unknown members of content are dropped, and integers
//!   beyond 64 bits become floats.
//! - Reading a result into its types takes 3.0 us for 94 bytes and 1,431 us for 124 KB of structured rows; the same
//!   results read as raw JSON take 0.14 us and 134 us. The gateway's CPU of a whole small call is about 16 us.

pub mod app;
pub mod authorization_server;
pub mod catalog;
pub mod cli;
pub mod compute;
pub mod config;
pub mod file;
pub mod gateway;
pub mod http;
pub mod issuer;
pub mod json;
pub mod mcp;
pub mod memory_budget;
pub mod metrics;
pub mod openai;
pub mod protocol;
pub mod rest;
pub mod seal;
pub mod shared_store;
pub mod shares;
pub mod shutdown;
pub mod signin;
pub mod sync;
pub mod systemd;
pub mod telemetry;
pub mod trace;
pub mod unix_time;
pub mod upstream;
pub mod web;
