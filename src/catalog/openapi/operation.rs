//! One tool as one operation.

use serde_json::{Map, Value, json};

use super::component::{self, Body, Models};
use super::hoist::Components;
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

/// What one tool adds to a document.
pub(super) struct Written {
    pub path_item: Value,
    pub components: Components,
}

/// What `tool` adds to each document; its schemas are taken apart once for all of them. The second tells that one costs too
/// much for that.
pub(super) fn written<const N: usize>(
    tool: &CatalogTool,
    settings: [&Setting<'_>; N],
) -> ([Written; N], bool) {
    let stems = settings.map(|setting| setting.stem);
    let (body, form) = component::form_models(tool, stems);
    let response = component::response_models(tool, stems);
    let is_costly = [&form, &response].into_iter().flatten().any(|models| models.is_costly);
    let (mut form, mut response) = (form.map(Models::each), response.map(Models::each));
    let written = settings.map(|setting| {
        let response = response.as_mut().and_then(Iterator::next);
        let key = response.as_ref().and_then(|components| Some(components.first()?.0.clone()));
        let form = form.as_mut().and_then(Iterator::next);
        let components = form.into_iter().chain(response).flatten().collect();
        Written { path_item: path_item(tool, setting, body, key), components }
    });
    (written, is_costly)
}

/// The path item of `tool`, whose result is described under the key `response`.
fn path_item(tool: &CatalogTool, setting: &Setting<'_>, body: Body, response: Option<String>) -> Value {
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
