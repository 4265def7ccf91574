//! Writes schemas as components: references rewritten, everything else as it was.

use serde_json::{Map, Value};

use super::references::References;
use crate::catalog::openapi::keyword;
use crate::catalog::subschemas::{self, Holds};

/// Writes schemas with their references rewritten.
pub(super) struct ComponentWriter<'a> {
    pub references: &'a References<'a>,
    /// The key of the schema's own component.
    pub base: &'a str,
    /// The keys of the parts.
    pub keys: &'a [String],
}

impl ComponentWriter<'_> {
    /// The schema without the definitions that became components.
    pub fn root(&self) -> Value {
        let Some(members) = self.references.root.as_object() else {
            return self.component(self.references.root, "");
        };
        let kept = members.iter().filter(|(keyword, _)| !matches!(keyword.as_str(), "$defs" | "definitions"));
        Value::Object(self.members(kept, ""))
    }

    /// `schema` as the top of a component, where readers look for an object.
    pub fn component(&self, schema: &Value, resource: &str) -> Value {
        match self.schema(schema, resource) {
            Value::Bool(true) => Value::Object(Map::new()),
            other => other,
        }
    }

    fn schema(&self, schema: &Value, resource: &str) -> Value {
        let Some(members) = schema.as_object() else { return schema.clone() };
        let own = members.get("$id").and_then(Value::as_str).and_then(|id| self.references.ids.get(id));
        Value::Object(self.members(members.iter(), own.map_or(resource, String::as_str)))
    }

    fn members<'m>(
        &self,
        members: impl Iterator<Item = (&'m String, &'m Value)>,
        resource: &str,
    ) -> Map<String, Value> {
        let mut written = Map::new();
        for (keyword, value) in members {
            let name = keyword::document_name(keyword, value);
            let value = match (name, value) {
                ("$ref", Value::String(text)) => {
                    self.reference(text, resource).expect("each reference has its place").into()
                }
                ("discriminator", _) => self.discriminator(value, resource),
                _ => match subschemas::holds(name) {
                    Some(holds) => self.children(name, holds, value, resource),
                    None => value.clone(),
                },
            };
            written.insert(name.to_owned(), value);
        }
        written
    }

    fn children(&self, keyword: &str, holds: Holds, value: &Value, resource: &str) -> Value {
        subschemas::map(holds, value, &mut |child| {
            if keyword::wants_object(keyword) {
                self.component(child, resource)
            } else {
                self.schema(child, resource)
            }
        })
    }

    /// Where the target of a reference stands; `None` for one that was not among the schema's references.
    fn reference(&self, text: &str, resource: &str) -> Option<String> {
        let pointer = self.references.find(resource, text).ok()?;
        let target = self.references.targets.get(&pointer)?;
        let key = target.part.map_or(self.base, |part| &self.keys[part]);
        Some(format!("#/components/schemas/{key}{}", target.rest))
    }

    fn discriminator(&self, value: &Value, resource: &str) -> Value {
        let mut value = value.clone();
        if let Some(mapping) = value.get_mut("mapping").and_then(Value::as_object_mut) {
            for target in mapping.values_mut() {
                let text = target.as_str().filter(|text| text.starts_with('#'));
                if let Some(reference) = text.and_then(|text| self.reference(text, resource)) {
                    *target = reference.into();
                }
            }
        }
        value
    }
}
