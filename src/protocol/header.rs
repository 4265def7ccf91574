//! Headers of the streamable HTTP transport.

use http::HeaderName;

/// The session of a request.
pub const SESSION_ID: HeaderName = HeaderName::from_static("mcp-session-id");
/// The revision of a request.
pub const PROTOCOL_VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");
/// The last event that the client received of a stream that it resumes.
pub const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// The method of a request (2026-07-28, streamable HTTP, "Request Metadata").
pub const METHOD: HeaderName = HeaderName::from_static("mcp-method");
/// The tool, prompt or URI of a request.
pub const NAME: HeaderName = HeaderName::from_static("mcp-name");
/// The prefix of headers that repeat an argument.
pub const PARAM_PREFIX: &str = "mcp-param-";
