//! Black-box tests of the `mcpo` binary: one file per behaviour, over the fixtures in `support`.
//!
//! `tests/run` provisions the real servers they need; `MCPO_TESTS_SKIP` names what could not be had.
#![expect(clippy::unwrap_used, reason = "a failed expectation in a test's own scaffolding is a failed test")]

mod access;
mod browser;
mod call_result;
mod cancellation;
mod certificates;
mod chaos;
mod check;
mod children;
mod command_line;
mod command_line_in_process;
mod conformance;
mod documents;
mod edge;
mod floors;
mod forwarding;
mod http_upstreams;
mod identities;
mod isolation;
mod limits;
mod logs;
mod mcp_all;
mod mcp_clients;
mod mcp_fidelity;
mod mcp_profiles;
mod mcp_sessions;
mod mcp_stateless;
mod mcp_streams;
mod mcp_tool_budget;
mod metrics;
mod mounts;
mod odd_servers;
mod open_webui;
mod own_tools;
mod rates;
mod readme;
mod real_servers;
mod recordings;
mod reload;
mod reload_under_load;
mod run_server;
mod schemathesis;
mod secrets;
mod service_manager;
mod socket_upstream;
mod sse_upstream;
mod startup;
mod support;
mod tool_lists;
mod trace_context;
mod under_load;
