//! The methods that the gateway answers or passes on: a file for each group.

pub mod call_tool;
pub mod discover;
pub mod endpoint_info;
pub mod initialize;
pub mod list_tools;
pub mod listen;
pub mod logging;
pub mod pass_through;
pub mod subscriptions;
