//! The parts that all operations refer to: the security scheme, the schemas of faults, and the responses.

use std::sync::LazyLock;

use serde_json::{Map, Value};
use utoipa::openapi::{Content, Ref, RefOr, Response, ResponseBuilder, Responses, ResponsesBuilder, Schema};

/// The name of the security scheme, as in mcpo 0.0.20.
pub(super) const BEARER: &str = "HTTPBearer";
/// The name of the response and of the schema of all faults but validation errors.
pub(super) const FAULT: &str = "Fault";

/// The responses of one operation, with `result` as the schema of the good one.
pub(super) fn responses(result: RefOr<Schema>, has_body: bool) -> Responses {
    let mut responses = ResponsesBuilder::new().response("200", response("Successful Response", result));
    if has_body {
        let error = Ref::from_schema_name("HTTPValidationError");
        responses = responses.response("422", response("Validation Error", error));
    }
    responses.response("default", Ref::from_response_name(FAULT)).build()
}

/// The response that `default` of every operation refers to.
pub(super) fn fault() -> Response {
    let description = "The call failed. 401, 403: the API key is missing or does not open this. 404: there is no such tool. \
        500: the tool reported an error. 502, 503, 504: its server broke the protocol, is unavailable, or took too long.";
    response(description, Ref::from_schema_name(FAULT))
}

fn response(description: &str, schema: impl Into<RefOr<Schema>>) -> Response {
    let content = Content::new(Some(schema));
    ResponseBuilder::new().description(description).content("application/json", content).build()
}

/// FastAPI's validation error, which clients of mcpo know, and the shape of all other faults.
///
/// Not of utoipa's types: these write the keywords in another order than FastAPI.
pub(super) static SCHEMAS: LazyLock<Map<String, Value>> = LazyLock::new(|| {
    serde_json::from_str(include_str!("shared_schemas.json")).expect("the file holds an object")
});
