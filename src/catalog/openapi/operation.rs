//! One tool as one operation.

use serde_json::{Map, Value};
use utoipa::openapi::extensions::Extensions;
use utoipa::openapi::path::OperationBuilder;
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::schema::{AnyOfBuilder, SchemaType};
use utoipa::openapi::security::SecurityRequirement;
use utoipa::openapi::{Content, HttpMethod, ObjectBuilder, PathItem, Ref, Required};

use super::component::{self, Body, Models};
use super::hoist::Components;
use super::path::title;
use super::shared::{BEARER, responses};
use crate::catalog::tool::CatalogTool;

/// The context of an operation beside its tool.
pub(super) struct Setting<'a> {
    pub operation_id: &'a str,
    /// The start of the keys of the tool's components.
    pub stem: &'a str,
    /// The server's name, in the document of all servers.
    pub tag: Option<&'a str>,
    pub secured: bool,
}

/// The parts that one tool adds to a document.
pub(super) struct Written {
    pub path_item: PathItem,
    pub components: Components,
}

/// The parts that `tool` adds to each document, and whether one of its schemas costs too much for them.
///
/// The schemas are taken apart once for all documents.
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
fn path_item(tool: &CatalogTool, setting: &Setting<'_>, body: Body, response: Option<String>) -> PathItem {
    let form = || {
        let form = Ref::from_schema_name(format!("{}_form_model", setting.stem));
        let required = if body == Body::Required { Required::True } else { Required::False };
        RequestBodyBuilder::new()
            .content("application/json", Content::new(Some(form)))
            .required(Some(required))
            .build()
    };
    let result_title = format!("Response {}", title(setting.operation_id));
    let any = ObjectBuilder::new().schema_type(SchemaType::AnyValue);
    let result = match response {
        // utoipa's alternatives have no title of their own.
        Some(key) => AnyOfBuilder::new()
            .item(Ref::from_schema_name(key))
            .item(any)
            .extensions(Some(Extensions::from_iter([("title", result_title)])))
            .into(),
        None if body == Body::None => any.into(),
        None => any.title(Some(result_title)).into(),
    };
    let has_body = body != Body::None;
    let operation = OperationBuilder::new()
        .tags(setting.tag.map(|tag| [tag]))
        .summary(Some(title(&tool.listed_name)))
        .description(tool.description())
        .operation_id(Some(setting.operation_id))
        .request_body(has_body.then(form))
        .responses(responses(result, has_body))
        .securities(setting.secured.then(|| [SecurityRequirement::new(BEARER, [""; 0])]))
        .extensions(Some(Extensions::from_iter([("x-mcp", remainder(tool, body))])))
        .build();
    PathItem::new(HttpMethod::Post, operation)
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
