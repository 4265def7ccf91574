//! Codes of JSON-RPC errors.

/// JSON-RPC 2.0, section 5.1.
pub const PARSE_ERROR: i64 = -32700;
pub const INVALID_REQUEST: i64 = -32600;
pub const METHOD_NOT_FOUND: i64 = -32601;
pub const INVALID_PARAMS: i64 = -32602;
pub const INTERNAL_ERROR: i64 = -32603;

/// "Server error" of JSON-RPC 2.0: the request is refused, or met a limit.
pub const SERVER_ERROR: i64 = -32000;
/// The code of the SDKs for a session that does not exist.
pub const SESSION_NOT_FOUND: i64 = -32001;
/// The era of sessions; the stateless era has [`INVALID_PARAMS`] for it (2026-07-28, schema).
pub const RESOURCE_NOT_FOUND: i64 = -32002;

/// The client has to open an address first (2025-11-25, schema, `URLElicitationRequiredError`).
pub const URL_ELICITATION_REQUIRED: i64 = -32042;

/// This code and the next two are of the schema of 2026-07-28.
pub const HEADER_MISMATCH: i64 = -32020;
pub const MISSING_CLIENT_CAPABILITY: i64 = -32021;
pub const UNSUPPORTED_PROTOCOL_VERSION: i64 = -32022;
