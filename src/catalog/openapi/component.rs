//! What a tool's schemas become: a form model for the arguments, a response model for the result.

use serde_json::{Map, Value, json};

use super::hoist::{Unfit, hoist};
use super::legacy;
use crate::catalog::CatalogTool;
use crate::catalog::operation_id::{Claim, Form, Wish, assign, clean};
use crate::catalog::weight::weight;

/// What a tool wants in the body of its request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Body {
    /// The schema names no argument: the operation documents no body (contract section 2.2), and the schema
    /// goes into the operation's `x-mcp`.
    None,
    /// Arguments may be given, though none has a name at the top (`additionalProperties`, a root `anyOf`): the
    /// contract dropped them.
    Optional,
    Required,
}

/// Adds the components of the tool's arguments, `{stem}_form_model` first.
pub(super) fn add_form_model(tool: &CatalogTool, stem: &str, schemas: &mut Map<String, Value>) -> Body {
    let Some(schema) = tool.definition.get("inputSchema") else { return Body::None };
    let body = body(schema);
    if body == Body::None {
        return body;
    }
    let mut components = components(schema, format!("{stem}_form_model"), &INPUT);
    if let Some(Value::Object(root)) = components.first_mut().map(|(_, root)| root) {
        // Arguments are an object by MCP's own definition; readers want to see it said.
        root.entry("type").or_insert_with(|| json!("object"));
    }
    schemas.extend(components);
    body
}

/// Adds the components of the tool's result, if it declares one; returns the key of the first.
pub(super) fn add_response_model(
    tool: &CatalogTool,
    stem: &str,
    schemas: &mut Map<String, Value>,
) -> Option<String> {
    let schema = tool.definition.get("outputSchema").filter(|schema| !schema.is_null())?;
    let key = format!("{stem}_response_model");
    schemas.extend(components(schema, key.clone(), &OUTPUT));
    Some(key)
}

/// What differs between the schemas of arguments and of results.
struct Side {
    /// Where the original goes when something else must stand in its place.
    set_aside: &'static str,
    /// What stands there when nothing of the original can.
    permissive: fn() -> Value,
}

const INPUT: Side = Side {
    set_aside: "x-mcp-input-schema",
    permissive: || json!({"type": "object", "additionalProperties": true}),
};

const OUTPUT: Side = Side { set_aside: "x-mcp-output-schema", permissive: || json!({}) };

/// A schema that cannot stand in a document stands beside what does in its place up to this weight: some megabytes.
const LARGEST_ASIDE: usize = 50_000;

/// The components that `schema` becomes, or what stands in its place.
fn components(schema: &Value, key: String, side: &Side) -> Vec<(String, Value)> {
    let whole = || Unfit::Invalid("#".to_owned());
    let unfit = match if schema.is_object() { hoist(schema, &key) } else { Err(whole()) } {
        Ok(components) => return components,
        Err(unfit) => unfit,
    };
    let respelled = if unfit == Unfit::Costly { None } else { respelled(schema, &key) };
    let set_aside = side.set_aside;
    let is_kept = weight(schema) <= LARGEST_ASIDE;
    let mut components = respelled.unwrap_or_else(|| {
        let mut permissive = (side.permissive)();
        let rest =
            if is_kept { format!("See `{set_aside}`.") } else { "It is too large to be shown.".into() };
        permissive["description"] =
            format!("Any object: the server's schema cannot stand here, since {unfit}. {rest}").into();
        vec![(key, permissive)]
    });
    if is_kept {
        components[0].1[set_aside] = schema.clone();
    }
    components
}

/// The components of a schema that is fit in the words of 2020-12.
fn respelled(schema: &Value, key: &str) -> Option<Vec<(String, Value)>> {
    let respelled = legacy::translate(schema);
    if respelled == *schema { None } else { hoist(&respelled, key).ok() }
}

/// Keywords that say nothing about which arguments there are.
const SILENT: [&str; 16] = [
    "$anchor",
    "$comment",
    "$defs",
    "$id",
    "$schema",
    "$vocabulary",
    "default",
    "definitions",
    "deprecated",
    "description",
    "example",
    "examples",
    "externalDocs",
    "readOnly",
    "title",
    "writeOnly",
];

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
        keyword => SILENT.contains(&keyword) || keyword.starts_with("x-"),
    });
    if silent { Body::None } else { Body::Optional }
}

/// What keys of components start with: each tool's name where it can, which is the contract's.
///
/// Our own endings are written with a dot in it, so that the first ending in a key tells where the tool's part of it stops,
/// and keys of different tools never meet. Ids among all servers hold no dot: no key depends on another server's tools.
pub(super) fn stems<'a>(names: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let fits = |character: char| character.is_ascii_alphanumeric() || "._-".contains(character);
    let wishes: Vec<_> = names
        .into_iter()
        .map(|name| {
            let stem = clean(name, fits);
            let is_clean = stem == name && !name.is_empty();
            let stem =
                stem.replace("_form_model", ".form_model").replace("_response_model", ".response_model");
            let claim = if is_clean { Claim::Exact } else { Claim::None };
            Wish { raw: name.to_owned(), stem, claim }
        })
        .collect();
    assign(&wishes, Form { prefix: "", suffix: "", limit: 200 })
}
