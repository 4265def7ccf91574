//! The fixed parts of a document: its head, its security scheme, and the answers that every operation shares.

use serde_json::{Map, Value, json};
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::tag::TagBuilder;
use utoipa::openapi::{ComponentsBuilder, InfoBuilder, OpenApiBuilder, Paths, Server};

/// The name of the security scheme, which is the contract's.
pub(super) const BEARER: &str = "HTTPBearer";

/// What differs between the heads of documents.
pub(super) struct Head<'a> {
    pub title: &'a str,
    pub description: &'a str,
    pub version: &'a str,
    /// The one entry of `servers`; `None` leaves `servers` out.
    pub url: Option<&'a str>,
    /// Name and description.
    pub tags: Vec<(&'a str, Option<String>)>,
    pub secured: bool,
}

/// A whole document: the head from utoipa's types, paths and schemas as they are, since no typed schema of
/// utoipa's keeps all of JSON Schema 2020-12.
pub(super) fn document(head: Head<'_>, paths: Map<String, Value>, schemas: Map<String, Value>) -> Value {
    let info = InfoBuilder::new()
        .title(head.title)
        .description((!head.description.is_empty()).then_some(head.description))
        .version(head.version)
        .build();
    let mut components = ComponentsBuilder::new();
    if head.secured {
        components =
            components.security_scheme(BEARER, SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)));
    }
    let tags =
        head.tags.into_iter().map(|(name, text)| TagBuilder::new().name(name).description(text).build());
    let tags: Vec<_> = tags.collect();
    let document = OpenApiBuilder::new()
        .info(info)
        .servers(head.url.map(|url| [Server::new(url)]))
        .paths(Paths::new())
        .components(Some(components.build()))
        .tags((!tags.is_empty()).then_some(tags))
        .build();
    let mut document = serde_json::to_value(document).expect("utoipa's types have only string keys");
    document["paths"] = Value::Object(paths);
    document["components"]["schemas"] = Value::Object(shared_schemas().into_iter().chain(schemas).collect());
    document["components"]["responses"] = json!({
        "Fault": {
            "description": "The call failed. 401, 403: the API key is missing or does not open this. 404: there \
                is no such tool. 500: the tool reported an error. 502, 503, 504: its server broke the protocol, is \
                unavailable, or took too long.",
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Fault"}}},
        },
    });
    document
}

/// The answers of one operation, with `result` as the schema of the good one.
pub(super) fn responses(result: Value, has_body: bool) -> Value {
    let mut responses = Map::new();
    let content = json!({"application/json": {"schema": result}});
    responses.insert("200".to_owned(), json!({"description": "Successful Response", "content": content}));
    if has_body {
        let schema = json!({"$ref": "#/components/schemas/HTTPValidationError"});
        let content = json!({"application/json": {"schema": schema}});
        responses.insert("422".to_owned(), json!({"description": "Validation Error", "content": content}));
    }
    responses.insert("default".to_owned(), json!({"$ref": "#/components/responses/Fault"}));
    Value::Object(responses)
}

/// FastAPI's validation error, which clients of the contract know, and the shape of all other faults.
fn shared_schemas() -> Map<String, Value> {
    let shared = json!({
        "HTTPValidationError": {
            "properties": {
                "detail": {
                    "items": {"$ref": "#/components/schemas/ValidationError"},
                    "type": "array",
                    "title": "Detail",
                },
            },
            "type": "object",
            "title": "HTTPValidationError",
        },
        "ValidationError": {
            "properties": {
                "loc": {
                    "items": {"anyOf": [{"type": "string"}, {"type": "integer"}]},
                    "type": "array",
                    "title": "Location",
                },
                "msg": {"type": "string", "title": "Message"},
                "type": {"type": "string", "title": "Error Type"},
            },
            "type": "object",
            "required": ["loc", "msg", "type"],
            "title": "ValidationError",
        },
        "Fault": {
            "properties": {
                "detail": {
                    "anyOf": [
                        {"type": "string"},
                        {"type": "object", "properties": {"message": {"type": "string"}}},
                    ],
                    "title": "Detail",
                },
            },
            "type": "object",
            "required": ["detail"],
            "title": "Fault",
        },
    });
    match shared {
        Value::Object(shared) => shared,
        _ => Map::new(),
    }
}
