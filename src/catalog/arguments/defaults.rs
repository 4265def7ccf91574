//! The schema's `default` values, put into calls that leave the property out.
//!
//! mcpo did this and tools rely on it (as in mcpo 0.0.20): optional properties whose default is not null, at the
//! top, in declared objects that are present, and in declared arrays of them, across references inside the schema
//! and through "this or null". Required properties get none: leaving them out is a fault.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use super::metered::spend;
use super::schema::resolve;
use crate::json::{Edits, PathSegment};

/// A default is copied wherever it is left out, as text and as a tree.
const STEPS_A_BYTE: u64 = 4;

/// The defaults to add, by place. A graph, since schemas may be recursive; node 0 is the arguments object.
#[derive(Debug)]
pub struct DefaultPlan {
    nodes: Vec<DefaultNode>,
}

#[derive(Debug, Default)]
struct DefaultNode {
    defaults: Vec<OmittedDefault>,
    properties: Vec<(String, usize)>,
    items: Option<usize>,
}

#[derive(Debug)]
struct OmittedDefault {
    key: String,
    value: Value,
    json: String,
}

impl DefaultPlan {
    /// `None` when the schema has nothing to add anywhere, so that its calls pay nothing.
    ///
    /// `accepts` says whether the arguments object may hold this default; servers do write defaults that their own
    /// schema refuses, and one of those must not cost the others.
    pub fn of(schema: &Value, accepts: impl Fn(&str, &Value) -> bool) -> Option<Self> {
        let mut builder =
            Builder { root: schema, nodes: Vec::new(), known: HashMap::new(), unread: Vec::new() };
        builder.read(schema);
        let mut nodes = builder.nodes;
        nodes[0].defaults.retain(|default| accepts(&default.key, &default.value));
        let useful = useful(&nodes);
        for node in &mut nodes {
            node.properties.retain(|(_, next)| useful[*next]);
            node.items = node.items.filter(|next| useful[*next]);
        }
        useful[0].then_some(Self { nodes })
    }

    /// Adds missing defaults to `arguments` and to `edits` of their text; whether there were any.
    pub fn fill(&self, arguments: &mut Value, edits: &mut Edits) -> bool {
        self.fill_node(0, arguments, &mut Vec::new(), edits)
    }

    fn fill_node(
        &self,
        node: usize,
        value: &mut Value,
        path: &mut Vec<PathSegment>,
        edits: &mut Edits,
    ) -> bool {
        let node = &self.nodes[node];
        let mut filled = false;
        spend(1 + node.properties.len() as u64 + node.defaults.len() as u64);
        match value {
            Value::Object(members) => {
                for (key, next) in &node.properties {
                    if let Some(member) = members.get_mut(key) {
                        path.push(PathSegment::Key(key.clone()));
                        filled |= self.fill_node(*next, member, path, edits);
                        path.pop();
                    }
                }
                for default in &node.defaults {
                    if members.contains_key(&default.key) {
                        continue;
                    }
                    spend(STEPS_A_BYTE.saturating_mul((default.key.len() + default.json.len()) as u64));
                    members.insert(default.key.clone(), default.value.clone());
                    edits.add(path, &default.key, &default.json);
                    filled = true;
                }
            }
            Value::Array(elements) => {
                let Some(next) = node.items else { return false };
                for (index, element) in elements.iter_mut().enumerate() {
                    path.push(PathSegment::Index(index));
                    filled |= self.fill_node(next, element, path, edits);
                    path.pop();
                }
            }
            _ => {}
        }
        filled
    }
}

/// Which nodes have a default in themselves or below.
fn useful(nodes: &[DefaultNode]) -> Vec<bool> {
    let mut above: Vec<Vec<usize>> = vec![Vec::new(); nodes.len()];
    for (index, node) in nodes.iter().enumerate() {
        node.properties
            .iter()
            .map(|(_, next)| next)
            .chain(&node.items)
            .for_each(|next| above[*next].push(index));
    }
    let mut useful = vec![false; nodes.len()];
    let mut unread: Vec<usize> =
        (0..nodes.len()).filter(|index| !nodes[*index].defaults.is_empty()).collect();
    while let Some(index) = unread.pop() {
        if !std::mem::replace(&mut useful[index], true) {
            unread.extend(&above[index]);
        }
    }
    useful
}

struct Builder<'a> {
    root: &'a Value,
    nodes: Vec<DefaultNode>,
    known: HashMap<*const Value, usize>,
    /// Nodes that were named and not looked at yet. References may lead on for thousands of them: no recursion.
    unread: Vec<(usize, &'a Value)>,
}

impl<'a> Builder<'a> {
    fn read(&mut self, schema: &'a Value) {
        self.node(schema);
        while let Some((index, schema)) = self.unread.pop() {
            let required = schema.get("required").and_then(Value::as_array);
            let required: HashSet<&str> = required.into_iter().flatten().filter_map(Value::as_str).collect();
            if let Some(properties) = schema.get("properties").and_then(Value::as_object) {
                for (key, property) in properties {
                    let default = default_of(key, property).filter(|_| !required.contains(key.as_str()));
                    self.nodes[index].defaults.extend(default);
                    let next = self.node(property);
                    self.nodes[index].properties.push((key.clone(), next));
                }
            }
            if let Some(items) = schema.get("items") {
                self.nodes[index].items = Some(self.node(items));
            }
        }
    }

    fn node(&mut self, schema: &'a Value) -> usize {
        let schema = self.declared(schema);
        // The address is the schema's identity within this tree; it is compared, never followed.
        if let Some(known) = self.known.get(&std::ptr::from_ref(schema)) {
            return *known;
        }
        let index = self.nodes.len();
        self.nodes.push(DefaultNode::default());
        self.known.insert(std::ptr::from_ref(schema), index);
        self.unread.push((index, schema));
        index
    }

    /// The schema itself behind references and "this or null".
    fn declared(&self, mut schema: &'a Value) -> &'a Value {
        // More hops than that are a circle.
        for _ in 0..32 {
            let next = match schema.get("$ref").and_then(Value::as_str) {
                Some(reference) => resolve(self.root, reference),
                None => {
                    ["anyOf", "oneOf"].iter().find_map(|keyword| or_null(schema.get(keyword)?.as_array()?))
                }
            };
            match next {
                Some(next) => schema = next,
                None => break,
            }
        }
        schema
    }
}

/// The one alternative that is not `null`, when there is just one.
fn or_null(alternatives: &[Value]) -> Option<&Value> {
    let mut others =
        alternatives.iter().filter(|one| one.get("type").and_then(Value::as_str) != Some("null"));
    others.next().filter(|_| others.next().is_none())
}

fn default_of(key: &str, property: &Value) -> Option<OmittedDefault> {
    let value = property.get("default").filter(|value| !value.is_null())?.clone();
    Some(OmittedDefault { key: key.to_owned(), json: value.to_string(), value })
}

#[cfg(test)]
mod tests {
    use super::{DefaultPlan, Edits};
    use serde_json::{Value, json};

    /// The result, the same from value and text; `None` without a plan or without a change.
    fn filled(schema: Value, arguments: Value) -> Option<Value> {
        let plan = DefaultPlan::of(&schema, |_, _| true)?;
        let (mut value, mut edits) = (arguments.clone(), Edits::default());
        if !plan.fill(&mut value, &mut edits) {
            return None;
        }
        assert_eq!(serde_json::from_str::<Value>(&edits.apply(&arguments.to_string())).unwrap(), value);
        Some(value)
    }

    #[test]
    fn optional_properties_get_their_default_and_required_or_null_ones_do_not() {
        let schema = json!({"properties": {"a": {"default": 3}, "b": {"default": null}, "c": {"default": "x"}}, "required": ["c"]});
        assert_eq!(filled(schema.clone(), json!({})), Some(json!({"a": 3})));
        assert_eq!(filled(schema, json!({"a": 1})), None);
    }

    #[test]
    fn objects_that_are_present_are_filled_and_absent_ones_are_not_made() {
        let point = json!({"type": "object", "properties": {"x": {"type": "integer"}, "y": {"default": 0}}});
        let schema = json!({
            "properties": {
                "p": {"$ref": "#/$defs/P"}, "many": {"type": "array", "items": {"$ref": "#/$defs/P"}},
                "maybe": {"anyOf": [{"$ref": "#/$defs/P"}, {"type": "null"}], "default": null},
            },
            "$defs": {"P": point},
        });
        assert_eq!(filled(schema.clone(), json!({"p": {"x": 1}})), Some(json!({"p": {"x": 1, "y": 0}})));
        assert_eq!(
            filled(schema.clone(), json!({"many": [{}, {"y": 2}, 5]})),
            Some(json!({"many": [{"y": 0}, {"y": 2}, 5]}))
        );
        assert_eq!(filled(schema.clone(), json!({"maybe": {}})), Some(json!({"maybe": {"y": 0}})));
        assert_eq!(filled(schema.clone(), json!({"maybe": null})), None);
        assert_eq!(filled(schema, json!({})), None);
    }

    #[test]
    fn recursive_schemas_are_filled_as_deep_as_the_arguments_go() {
        let schema = json!({"properties": {"next": {"$ref": "#"}, "v": {"default": 1}}});
        assert_eq!(filled(schema, json!({"next": {}})), Some(json!({"next": {"v": 1}, "v": 1})));
        assert!(DefaultPlan::of(&json!({"properties": {"next": {"$ref": "#"}}}), |_, _| true).is_none());
        assert!(DefaultPlan::of(&json!({"$ref": "#"}), |_, _| true).is_none());
    }

    #[test]
    fn a_default_that_the_schema_refuses_is_left_out() {
        let schema = json!({"properties": {"a": {"default": 3}, "b": {"default": 4}}});
        let plan = DefaultPlan::of(&schema, |key, _| key == "b").unwrap();
        let mut value = json!({});
        assert!(plan.fill(&mut value, &mut Edits::default()));
        assert_eq!(value, json!({"b": 4}));
    }
}
