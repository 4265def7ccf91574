//! A tool's schema in the subset of JSON Schema that OpenAI holds a model to (its guide "Structured model outputs",
//! section "Supported schemas").
//!
//! Every object is closed and asks for all its properties; one that may be left out may be null instead, which the
//! gateway takes out of the arguments again ([`crate::catalog::arguments`]). A constraint outside the subset moves into
//! the description; the server's own schema is what arguments are checked against. A schema that asks for what the
//! subset cannot say (free-form objects, tuples, conditions) is not made strict at all: a model that is held to a
//! wrong schema could never call the tool right.

mod annotations;

use std::cell::Cell;
use std::collections::{BTreeMap, HashSet};

use serde_json::{Map, Value, json};

use annotations::{DESCRIBED, annotate, described, nullable};

/// Properties of all objects together.
const MOST_PROPERTIES: usize = 5_000;
/// Objects within objects.
const DEEPEST: usize = 10;
/// Values of all enumerations together.
const MOST_ENUM_VALUES: usize = 1_000;
/// Characters of all names and enumerated values together.
const MOST_TEXT: usize = 120_000;
/// An enumeration of more values than this must not hold more characters than [`LARGE_ENUM_TEXT`].
const LARGE_ENUM: usize = 250;
const LARGE_ENUM_TEXT: usize = 15_000;
/// Alternatives and lists within each other: no limit of OpenAI's, but a stack has an end.
const DEEPEST_NESTING: usize = 60;
/// Schemas that are looked at for whether they take null: each may refer to several others.
const MOST_LOOKED_AT: usize = 20_000;

/// Keywords that the subset cannot say, nor a description to a model that is held to something else.
const UNSAYABLE: [&str; 20] = [
    "not",
    "if",
    "then",
    "else",
    "dependentRequired",
    "dependentSchemas",
    "dependencies",
    "patternProperties",
    "propertyNames",
    "unevaluatedItems",
    "contains",
    "prefixItems",
    "additionalItems",
    "$dynamicRef",
    "$recursiveRef",
    "$id",
    "id",
    "$anchor",
    "$dynamicAnchor",
    "extends",
];
/// Keywords that say nothing about which values fit.
const ANNOTATIONS: [&str; 12] = [
    "title",
    "description",
    "default",
    "examples",
    "example",
    "deprecated",
    "readOnly",
    "writeOnly",
    "$comment",
    "$schema",
    "$defs",
    "definitions",
];
/// `schema` in the subset; `None` when it cannot be said there.
pub fn strict(schema: &Map<String, Value>) -> Option<Map<String, Value>> {
    let mut writer = StrictWriter {
        root: schema,
        definitions: BTreeMap::new(),
        counts: Counts::default(),
        unlooked: Cell::new(MOST_LOOKED_AT),
    };
    if schema.get("type").is_some_and(|kind| kind != "object")
        || ["anyOf", "oneOf", "allOf", "enum", "const", "$ref"].iter().any(|key| schema.contains_key(*key))
        || UNSAYABLE.iter().any(|key| schema.contains_key(*key) && *key != "$id" && *key != "id")
    {
        return None;
    }
    let mut root = writer.object(schema, true, Depth::default())?;
    annotate(schema, "object", &mut root);
    let mut definitions = Map::new();
    for (name, definition) in writer.definitions {
        definitions.insert(name, definition?);
    }
    if !definitions.is_empty() {
        root.insert("$defs".into(), Value::Object(definitions));
    }
    (writer.counts.are_allowed() && writer.unlooked.get() > 0).then_some(root)
}

#[derive(Debug, Clone, Copy, Default)]
struct Depth {
    objects: usize,
    all: usize,
}

#[derive(Debug, Default)]
struct Counts {
    properties: usize,
    enum_values: usize,
    text: usize,
}

impl Counts {
    fn are_allowed(&self) -> bool {
        self.properties <= MOST_PROPERTIES && self.enum_values <= MOST_ENUM_VALUES && self.text <= MOST_TEXT
    }
}

struct StrictWriter<'a> {
    root: &'a Map<String, Value>,
    /// Those that are referred to; `None` while they are written.
    definitions: BTreeMap<String, Option<Value>>,
    counts: Counts,
    /// Of [`MOST_LOOKED_AT`]; a schema that asks for more is not made strict.
    unlooked: Cell<usize>,
}

impl StrictWriter<'_> {
    fn schema(&mut self, schema: &Value, depth: Depth) -> Option<Value> {
        let members = schema.as_object()?;
        if depth.all > DEEPEST_NESTING || UNSAYABLE.iter().any(|key| members.contains_key(*key)) {
            return None;
        }
        let depth = Depth { all: depth.all + 1, ..depth };
        let alone =
            |keyword: &str| members.keys().all(|key| key == keyword || ANNOTATIONS.contains(&key.as_str()));
        if let Some(reference) = members.get("$ref") {
            let reference = self.reference(reference.as_str()?, depth).filter(|_| alone("$ref"))?;
            return Some(described(members, reference));
        }
        if let Some(parts) = members.get("allOf") {
            // One part is how pydantic wrote a reference with a description.
            let [part] = parts.as_array()?.as_slice() else { return None };
            let part = self.schema(part, depth).filter(|_| alone("allOf"))?;
            return Some(described(members, part));
        }
        if let Some(branches) = members.get("anyOf").or_else(|| members.get("oneOf")) {
            let keyword = if members.contains_key("anyOf") { "anyOf" } else { "oneOf" };
            if !alone(keyword) {
                return None;
            }
            let branches = branches.as_array().filter(|branches| !branches.is_empty())?;
            let branches: Vec<Value> =
                branches.iter().map(|branch| self.schema(branch, depth)).collect::<Option<_>>()?;
            let mut union = Map::from_iter([("anyOf".to_owned(), Value::Array(branches))]);
            annotate(members, "", &mut union);
            return Some(Value::Object(union));
        }
        if let Some(constant) = members.get("const") {
            return self.values(members, std::slice::from_ref(constant));
        }
        if let Some(values) = members.get("enum") {
            return self.values(members, values.as_array()?);
        }
        match members.get("type")? {
            Value::String(kind) => self.of_type(members, kind, depth).map(Value::Object),
            Value::Array(kinds) => self.of_types(members, kinds, depth),
            _ => None,
        }
    }

    /// A schema of several types is one of alternatives, each with its own keywords.
    fn of_types(&mut self, members: &Map<String, Value>, kinds: &[Value], depth: Depth) -> Option<Value> {
        let kinds: Vec<&str> = kinds.iter().map(Value::as_str).collect::<Option<_>>()?;
        let is_nullable = kinds.contains(&"null");
        let others: Vec<&str> = kinds.into_iter().filter(|kind| *kind != "null").collect();
        let one = match others.as_slice() {
            [] => return Some(json!({ "type": "null" })),
            [only] => Value::Object(self.of_type(members, only, depth)?),
            several => {
                let mut plain = members.clone();
                // The description is of the whole, once.
                ANNOTATIONS.iter().chain(&DESCRIBED).for_each(|key| drop(plain.shift_remove(*key)));
                let mut branches = Vec::with_capacity(several.len());
                for kind in several {
                    branches.push(Value::Object(self.of_type(&plain, kind, depth)?));
                }
                let mut union = Map::from_iter([("anyOf".to_owned(), Value::Array(branches))]);
                annotate(members, "", &mut union);
                Value::Object(union)
            }
        };
        Some(if is_nullable { nullable(one) } else { one })
    }

    fn of_type(
        &mut self,
        members: &Map<String, Value>,
        kind: &str,
        depth: Depth,
    ) -> Option<Map<String, Value>> {
        let mut written = match kind {
            "object" => self.object(members, false, depth)?,
            "string" | "number" | "integer" | "boolean" | "null" => {
                Map::from_iter([("type".to_owned(), kind.into())])
            }
            "array" => {
                let items = self.schema(members.get("items")?, depth)?;
                Map::from_iter([("type".to_owned(), kind.into()), ("items".to_owned(), items)])
            }
            _ => return None,
        };
        annotate(members, kind, &mut written);
        Some(written)
    }

    /// A closed object. One without properties takes anything, unless it is the root: that is a tool without
    /// arguments.
    fn object(
        &mut self,
        members: &Map<String, Value>,
        is_root: bool,
        depth: Depth,
    ) -> Option<Map<String, Value>> {
        let depth = Depth { objects: depth.objects + 1, ..depth };
        let none = Map::new();
        let properties = match members.get("properties") {
            Some(properties) => properties.as_object()?,
            None => &none,
        };
        let rest = members.get("additionalProperties").or_else(|| members.get("unevaluatedProperties"));
        let is_closed = rest == Some(&Value::Bool(false));
        let is_free = rest.is_some() && !is_closed || properties.is_empty() && !is_closed && !is_root;
        if is_free || depth.objects > DEEPEST {
            return None;
        }
        let required: HashSet<&str> = match members.get("required") {
            Some(required) => required.as_array()?.iter().map(Value::as_str).collect::<Option<_>>()?,
            None => HashSet::new(),
        };
        // A member that is asked for and not described can be anything.
        if !required.iter().all(|name| properties.contains_key(*name)) {
            return None;
        }
        let mut written = Map::with_capacity(properties.len());
        for (name, property) in properties {
            self.counts.properties += 1;
            self.counts.text += name.chars().count();
            let is_required = required.contains(name.as_str());
            let strict = self.schema(property, depth)?;
            let strict = if is_required { strict } else { self.or_null(property, strict) };
            written.insert(name.clone(), strict);
        }
        let names: Vec<Value> = written.keys().map(|name| name.as_str().into()).collect();
        Some(Map::from_iter([
            ("type".to_owned(), "object".into()),
            ("properties".to_owned(), Value::Object(written)),
            ("required".to_owned(), names.into()),
            ("additionalProperties".to_owned(), false.into()),
        ]))
    }

    fn or_null(&self, property: &Value, strict: Value) -> Value {
        if self.takes_null(property, 0) { strict } else { nullable(strict) }
    }

    /// Whether the server's schema takes null itself.
    fn takes_null(&self, schema: &Value, depth: usize) -> bool {
        let left = self.unlooked.get().saturating_sub(1);
        self.unlooked.set(left);
        if depth > DEEPEST_NESTING || left == 0 {
            return false;
        }
        let any = |key: &str| {
            let branches = schema.get(key).and_then(Value::as_array);
            branches.is_some_and(|branches| branches.iter().any(|one| self.takes_null(one, depth + 1)))
        };
        if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
            let target = definition(self.root, reference);
            return target.is_some_and(|(_, target)| self.takes_null(target, depth + 1));
        }
        if let Some(values) = schema.get("enum").and_then(Value::as_array) {
            return values.contains(&Value::Null);
        }
        match schema.get("type") {
            Some(Value::String(kind)) => kind == "null",
            Some(Value::Array(kinds)) => kinds.iter().any(|kind| kind == "null"),
            _ => schema.get("const") == Some(&Value::Null) || any("anyOf") || any("oneOf") || any("allOf"),
        }
    }

    fn reference(&mut self, reference: &str, depth: Depth) -> Option<Value> {
        if reference == "#" {
            return Some(json!({ "$ref": "#" }));
        }
        let (name, target) = definition(self.root, reference)?;
        // The same name under both keywords would be two definitions.
        let both = ["$defs", "definitions"]
            .iter()
            .all(|key| self.root.get(*key).is_some_and(|definitions| definitions.get(name).is_some()));
        if both {
            return None;
        }
        if !self.definitions.contains_key(name) {
            self.counts.text += name.chars().count();
            self.definitions.insert(name.to_owned(), None);
            let written = self.schema(target, depth)?;
            self.definitions.insert(name.to_owned(), Some(written));
        }
        Some(json!({ "$ref": format!("#/$defs/{name}") }))
    }

    /// One of `values`, which are all of one type, or null.
    fn values(&mut self, members: &Map<String, Value>, values: &[Value]) -> Option<Value> {
        let mut kinds = Vec::new();
        let mut text = 0;
        for value in values {
            let kind = match value {
                Value::String(string) => {
                    text += string.chars().count();
                    "string"
                }
                Value::Number(number) if number.is_f64() => "number",
                Value::Number(_) => "integer",
                Value::Bool(_) => "boolean",
                Value::Null => "null",
                Value::Array(_) | Value::Object(_) => return None,
            };
            if !kinds.contains(&kind) {
                kinds.push(kind);
            }
        }
        let others = kinds.iter().filter(|kind| **kind != "null").count();
        if values.is_empty() || others > 1 || values.len() > LARGE_ENUM && text > LARGE_ENUM_TEXT {
            return None;
        }
        self.counts.enum_values += values.len();
        self.counts.text += text;
        let kind = match kinds.as_slice() {
            [only] => Value::from(*only),
            several => several.iter().copied().collect(),
        };
        let mut written = Map::from_iter([("type".to_owned(), kind), ("enum".to_owned(), values.into())]);
        annotate(members, "", &mut written);
        Some(Value::Object(written))
    }
}

/// The definition that `reference` names, and its name.
fn definition<'s, 'r>(root: &'s Map<String, Value>, reference: &'r str) -> Option<(&'r str, &'s Value)> {
    let (keyword, name) = reference.strip_prefix("#/")?.split_once('/')?;
    let is_plain = !name.contains(['/', '~', '%']) && matches!(keyword, "$defs" | "definitions");
    let target = root.get(keyword)?.get(name).filter(|_| is_plain)?;
    Some((name, target))
}
