//! One tool as one operation.

use serde_json::{Map, Value, json};

use super::component::{self, Body};
use super::path::title;
use super::skeleton::{self, BEARER};
use crate::catalog::CatalogTool;

/// What an operation needs to know beside its tool.
pub(super) struct Setting<'a> {
    pub operation_id: &'a str,
    /// What the keys of the tool's components start with.
    pub stem: &'a str,
    /// The server's name, in the document of all servers.
    pub tag: Option<&'a str>,
    pub secured: bool,
}

/// The path item of `tool`; its components go into `schemas`.
pub(super) fn path_item(
    tool: &CatalogTool,
    setting: &Setting<'_>,
    schemas: &mut Map<String, Value>,
) -> Value {
    let body = component::add_form_model(tool, setting.stem, schemas);
    let response = component::add_response_model(tool, setting.stem, schemas);
    let mut operation = Map::new();
    if let Some(tag) = setting.tag {
        operation.insert("tags".to_owned(), json!([tag]));
    }
    operation.insert("summary".to_owned(), title(&tool.listed_name).into());
    if let Some(description) = tool.description() {
        operation.insert("description".to_owned(), description.into());
    }
    operation.insert("operationId".to_owned(), setting.operation_id.into());
    if body != Body::None {
        let form = json!({"$ref": format!("#/components/schemas/{}_form_model", setting.stem)});
        let content = json!({"application/json": {"schema": form}});
        operation.insert(
            "requestBody".to_owned(),
            json!({"content": content, "required": body == Body::Required}),
        );
    }
    let title = format!("Response {}", title(setting.operation_id));
    let result = match response {
        Some(key) => {
            json!({"anyOf": [{"$ref": format!("#/components/schemas/{key}")}, {}], "title": title})
        }
        None if body == Body::None => json!({}),
        None => json!({"title": title}),
    };
    operation.insert("responses".to_owned(), skeleton::responses(result, body != Body::None));
    if setting.secured {
        operation.insert("security".to_owned(), json!([{ BEARER: [] }]));
    }
    operation.insert("x-mcp".to_owned(), Value::Object(remainder(tool, body)));
    json!({ "post": operation })
}

/// The tool's definition without what the operation and its components already say.
fn remainder(tool: &CatalogTool, body: Body) -> Map<String, Value> {
    let said = |keyword: &str, value: &Value| match keyword {
        "description" => tool.description().is_some(),
        "inputSchema" => body != Body::None,
        "outputSchema" => !value.is_null(),
        _ => false,
    };
    let kept = tool.definition.iter().filter(|(keyword, value)| !said(keyword, value));
    kept.map(|(keyword, value)| (keyword.clone(), value.clone())).collect()
}
