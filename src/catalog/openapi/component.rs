//! Turns a tool's schemas into components: a form model for the arguments, a response model for the result.

use serde_json::{Value, json};

use super::hoist::{Components, Unfit, hoist};
use super::legacy;
use super::readable::readable;
use crate::catalog::operation_id::{Claim, IdFormat, IdRequest, assign, clean};
use crate::catalog::tool::CatalogTool;
use crate::catalog::weight::weight;

/// The body that a tool wants in its request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Body {
    /// The schema names no argument: the operation documents no body (as in mcpo 0.0.20), and the schema
    /// goes into the operation's `x-mcp`.
    None,
    /// Arguments may be given, though none has a name at the top (`additionalProperties`, a root `anyOf`):
    /// mcpo 0.0.20 dropped them.
    Optional,
    Required,
}

/// The components of a schema, once for each document that it goes into.
pub(super) struct Models<const N: usize> {
    pub components: [Components; N],
    /// Whether the schema costs too much to stand in a document.
    pub is_costly: bool,
}

impl<const N: usize> Models<N> {
    /// The components for one document after the other.
    pub fn each(self) -> impl Iterator<Item = Components> {
        self.components.into_iter()
    }
}

/// The components of the tool's arguments, which begin with `{stem}_form_model` for each of `stems`.
pub(super) fn form_models<const N: usize>(tool: &CatalogTool, stems: [&str; N]) -> (Body, Option<Models<N>>) {
    let Some(schema) = tool.definition.get("inputSchema") else { return (Body::None, None) };
    let body = body(schema);
    if body == Body::None {
        return (body, None);
    }
    let mut models = models(schema, stems.map(|stem| format!("{stem}_form_model")), &INPUT);
    for (_, root) in models.components.iter_mut().filter_map(|components| components.first_mut()) {
        if let Value::Object(root) = root {
            // Arguments are an object by MCP's own definition; readers want to see it said.
            root.entry("type").or_insert_with(|| json!("object"));
        }
    }
    (body, Some(models))
}

/// The components of the tool's result, if it declares one.
pub(super) fn response_models<const N: usize>(tool: &CatalogTool, stems: [&str; N]) -> Option<Models<N>> {
    let schema = tool.definition.get("outputSchema").filter(|schema| !schema.is_null())?;
    Some(models(schema, stems.map(|stem| format!("{stem}_response_model")), &OUTPUT))
}

/// The differences between schemas of arguments and of results.
struct Side {
    /// Where the original goes when something else must stand in its place.
    set_aside: &'static str,
    /// The replacement for a schema of which nothing can stand in a document.
    permissive: fn() -> Value,
}

const INPUT: Side = Side {
    set_aside: "x-mcp-input-schema",
    permissive: || json!({"type": "object", "additionalProperties": true}),
};

const OUTPUT: Side = Side { set_aside: "x-mcp-output-schema", permissive: || json!({}) };

/// A schema that cannot stand in a document stands beside what does in its place up to this weight: some megabytes.
const LARGEST_ASIDE: usize = 50_000;

/// The components that `schema` becomes under each of `keys`, or what stands in its place.
fn models<const N: usize>(schema: &Value, keys: [String; N], side: &Side) -> Models<N> {
    let bases = keys.each_ref().map(String::as_str);
    if let Some(components) = readable(schema).and_then(|readable| hoist(&readable, bases).ok()) {
        return Models { components, is_costly: false };
    }
    let whole = || Unfit::Invalid("#".to_owned());
    let unfit = match if schema.is_object() { hoist(schema, bases) } else { Err(whole()) } {
        Ok(components) => return Models { components, is_costly: false },
        Err(unfit) => unfit,
    };
    let is_costly = unfit == Unfit::Costly;
    let respelled = if is_costly { None } else { respelled(schema, bases) };
    let set_aside = side.set_aside;
    let is_kept = weight(schema) <= LARGEST_ASIDE;
    let mut components = respelled.unwrap_or_else(|| {
        let mut permissive = (side.permissive)();
        let rest =
            if is_kept { format!("See `{set_aside}`.") } else { "It is too large to be shown.".into() };
        permissive["description"] =
            format!("Any object: the server's schema cannot stand here, since {unfit}. {rest}").into();
        bases.map(|base| vec![(base.to_owned(), permissive.clone())])
    });
    if is_kept {
        components.iter_mut().for_each(|components| components[0].1[set_aside] = schema.clone());
    }
    Models { components, is_costly }
}

/// The components of a schema that is fit in the words of 2020-12.
fn respelled<const N: usize>(schema: &Value, bases: [&str; N]) -> Option<[Components; N]> {
    let respelled = legacy::translate(schema);
    if respelled == *schema { None } else { hoist(&respelled, bases).ok() }
}

fn body(schema: &Value) -> Body {
    let Some(members) = schema.as_object() else { return Body::Optional };
    let holds_some = |keyword: &str| match members.get(keyword) {
        Some(Value::Object(map)) => !map.is_empty(),
        Some(Value::Array(list)) => !list.is_empty(),
        _ => false,
    };
    if holds_some("properties") || holds_some("required") {
        return Body::Required;
    }
    let silent = members.iter().all(|(keyword, value)| match keyword.as_str() {
        "type" => value == "object",
        "properties" => value.is_object(),
        "required" => value.is_array(),
        "additionalProperties" | "unevaluatedProperties" => *value == Value::Bool(false),
        // These say nothing about which arguments there are.
        "$anchor" | "$comment" | "$defs" | "$id" | "$schema" | "$vocabulary" | "default" | "definitions"
        | "deprecated" | "description" | "example" | "examples" | "externalDocs" | "readOnly" | "title"
        | "writeOnly" => true,
        keyword => keyword.starts_with("x-"),
    });
    if silent { Body::None } else { Body::Optional }
}

/// The starts of the keys of components: each tool's name where that is possible, as in mcpo.
///
/// Our own endings are written with a dot in it, so that the first ending in a key marks the end of the tool's part,
/// and keys of different tools never meet. Ids among all servers hold no dot: no key depends on another server's tools.
pub(super) fn stems<'a>(names: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let fits = |character: char| character.is_ascii_alphanumeric() || "._-".contains(character);
    let requests: Vec<_> = names
        .into_iter()
        .map(|name| {
            let stem = clean(name, fits);
            let is_clean = stem == name && !name.is_empty();
            let stem =
                stem.replace("_form_model", ".form_model").replace("_response_model", ".response_model");
            let claim = if is_clean { Claim::Exact } else { Claim::None };
            IdRequest { raw: name.to_owned(), stem, claim }
        })
        .collect();
    assign(&requests, IdFormat { prefix: "", suffix: "", limit: 200 })
}
