//! The exit codes, which service managers and build scripts read.

/// All went well, also after a signal to stop.
pub const SUCCESS: u8 = 0;
/// A fault that has no code of its own; a called tool that failed.
pub const FAILURE: u8 = 1;
/// The command line cannot be understood (clap's own code).
pub const USAGE: u8 = 2;
/// `mcpo plan --exit-code`: something would change. No fault, and so none of the others' codes.
pub const CHANGES: u8 = 3;
/// The configuration has errors (`EX_USAGE` of sysexits).
pub const CONFIGURATION: u8 = 64;
/// The address to listen on is in use (`EX_UNAVAILABLE` of sysexits).
pub const ADDRESS_IN_USE: u8 = 69;
/// A command that had started servers was interrupted; they were ended (128 and the number of SIGINT).
pub const INTERRUPTED: u8 = 130;
