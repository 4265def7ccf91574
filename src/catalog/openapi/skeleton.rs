//! The fixed parts of a document: its head, its security scheme, and the answers that every operation shares.

use serde::Serialize;
use serde_json::{Map, Value, json};
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::tag::TagBuilder;
use utoipa::openapi::{ComponentsBuilder, InfoBuilder, OpenApiBuilder, Paths, Server};

use super::section::Chosen;

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

/// The text of a whole document: the head from utoipa's types, paths and schemas as they are, since no typed schema of
/// utoipa's keeps all of JSON Schema 2020-12.
pub(super) fn document(head: Head<'_>, tools: &Chosen<'_>) -> Vec<u8> {
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
    document["components"]["schemas"] = Value::Object(shared_schemas());
    document["components"]["responses"] = json!({
        "Fault": {
            "description": "The call failed. 401, 403: the API key is missing or does not open this. 404: there \
                is no such tool. 500: the tool reported an error. 502, 503, 504: its server broke the protocol, is \
                unavailable, or took too long.",
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Fault"}}},
        },
    });
    let mut text = vec![b'{'];
    for (key, value) in members(&document) {
        member(&mut text, key);
        match key.as_str() {
            "paths" => {
                text.push(b'{');
                tools.write_paths(&mut text);
                text.push(b'}');
            }
            "components" => write_components(&mut text, value, tools),
            _ => json(&mut text, value),
        }
    }
    text.push(b'}');
    text
}

fn write_components(text: &mut Vec<u8>, components: &Value, tools: &Chosen<'_>) {
    text.push(b'{');
    for (key, value) in members(components) {
        member(text, key);
        if key != "schemas" {
            json(text, value);
            continue;
        }
        text.push(b'{');
        for (key, schema) in members(value) {
            member(text, key);
            json(text, schema);
        }
        tools.write_schemas(text);
        text.push(b'}');
    }
    text.push(b'}');
}

fn members(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

/// Writes the comma between two members, unless the first is about to be written.
pub(super) fn comma(text: &mut Vec<u8>) {
    if !matches!(text.last(), None | Some(b'{')) {
        text.push(b',');
    }
}

/// Writes the key of one more member of an object.
pub(super) fn member(text: &mut Vec<u8>, key: &str) {
    comma(text);
    json(text, key);
    text.push(b':');
}

/// Writes `value` as JSON.
pub(super) fn json(text: &mut Vec<u8>, value: &(impl Serialize + ?Sized)) {
    serde_json::to_writer(text, value).expect("a JSON value has only string keys, and a vector takes it");
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
