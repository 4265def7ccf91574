//! Finds the target of each reference within a schema, and its place in the document.

use std::collections::{HashMap, HashSet};

use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};
use url::Url;

use super::budget::{Budget, Unfit};
use super::check::check;
use crate::catalog::subschemas::{Holds, holds, visit};

/// The place of a reference's target in the document.
pub(super) struct Placement {
    /// Index of the part it lies in; `None` for the schema itself.
    pub part: Option<usize>,
    /// The pointer below that part.
    pub rest: String,
}

/// The references of one schema, and where their targets stand in the document.
///
/// Pointers are canonical JSON Pointers (RFC 6901) from the root of the schema.
pub(super) struct References<'a> {
    pub root: &'a Value,
    /// `$id` to the pointer of the schema that has it.
    pub ids: HashMap<&'a str, String>,
    /// Pointer of the enclosing resource and `$anchor`, to the pointer of the schema that has it.
    anchors: HashMap<(String, &'a str), String>,
    /// Each reference with the pointer of the resource that it is relative to.
    references: Vec<(String, &'a str)>,
    /// Pointers of schemas that become components of their own.
    pub parts: Vec<String>,
    /// By the pointer of the target.
    pub targets: HashMap<String, Placement>,
    /// Pointers of schemas whose references do not lead in a circle.
    ending: HashSet<String>,
    budget: Budget,
}

impl<'a> References<'a> {
    /// Collects the references of `root`.
    pub fn new(root: &'a Value, budget: Budget) -> Result<Self, Unfit> {
        let mut references = Self {
            root,
            ids: HashMap::new(),
            anchors: HashMap::new(),
            references: Vec::new(),
            parts: Vec::new(),
            targets: HashMap::new(),
            ending: HashSet::new(),
            budget,
        };
        for keyword in ["$defs", "definitions"] {
            if let Some(definitions) = root.get(keyword).and_then(Value::as_object) {
                references
                    .parts
                    .extend(definitions.keys().map(|name| format!("/{keyword}/{}", escape(name))));
            }
        }
        references.scan(root, &mut String::new(), "")?;
        Ok(references)
    }

    /// Collects ids, anchors and references at and below `schema`.
    fn scan(&mut self, schema: &'a Value, pointer: &mut String, resource: &str) -> Result<(), Unfit> {
        let Some(members) = schema.as_object() else { return Ok(()) };
        self.budget.spend_on_path(pointer)?;
        let own;
        let resource = match members.get("$id").and_then(Value::as_str) {
            Some(id) => {
                self.ids.insert(id, pointer.clone());
                own = pointer.clone();
                &own
            }
            None => resource,
        };
        for (keyword, value) in members {
            match (keyword.as_str(), value) {
                ("$ref", Value::String(text)) => self.references.push((resource.to_owned(), text)),
                ("$anchor", Value::String(name)) => {
                    self.anchors.insert((resource.to_owned(), name), pointer.clone());
                }
                ("discriminator", _) => {
                    let targets = mapping(value).filter(|target| self.find(resource, target).is_ok());
                    let targets: Vec<_> = targets.map(|target| (resource.to_owned(), target)).collect();
                    self.references.extend(targets);
                }
                _ => {
                    let Some(holds) = holds(keyword) else { continue };
                    let length = pointer.len();
                    pointer.push('/');
                    pointer.push_str(keyword);
                    visit(holds, value, |step, child| {
                        let length = pointer.len();
                        if let Some(step) = step {
                            pointer.push('/');
                            pointer.push_str(&escape(step));
                        }
                        self.scan(child, pointer, resource)?;
                        pointer.truncate(length);
                        Ok(())
                    })?;
                    pointer.truncate(length);
                }
            }
        }
        Ok(())
    }

    /// The same as [`Self::find`], within the budget.
    fn resolve(&self, resource: &str, reference: &str) -> Result<String, Unfit> {
        // Each id that is compared is resolved against the root's, too.
        let is_plain = reference.starts_with('#') || self.ids.contains_key(reference);
        self.budget.spend(if is_plain { 1 } else { 1 + self.ids.len() })?;
        self.budget.spend_on_path(reference)?;
        self.find(resource, reference)
    }

    /// The pointer of the target of `reference`, inside the resource at the pointer `resource`.
    pub fn find(&self, resource: &str, reference: &str) -> Result<String, Unfit> {
        let (uri, fragment) = reference.split_once('#').unwrap_or((reference, ""));
        let resource = if uri.is_empty() {
            resource
        } else {
            self.resource(uri).ok_or_else(|| Unfit::Outside(reference.to_owned()))?
        };
        let dangling = || Unfit::Dangling(reference.to_owned());
        let fragment = percent_decode_str(fragment).decode_utf8().map_err(|_| dangling())?;
        let pointer = if fragment.is_empty() || fragment.starts_with('/') {
            format!("{resource}{fragment}")
        } else {
            let anchor = (resource.to_owned(), &*fragment);
            self.anchors.get(&anchor).ok_or_else(dangling)?.clone()
        };
        match self.root.pointer(&pointer) {
            Some(Value::Object(_) | Value::Bool(_)) => Ok(pointer),
            _ => Err(dangling()),
        }
    }

    /// The pointer of the schema whose `$id` is `uri`, as written or below the root's `$id`.
    fn resource(&self, uri: &str) -> Option<&str> {
        if let Some(pointer) = self.ids.get(uri) {
            return Some(pointer);
        }
        let base = Url::parse(self.root.get("$id")?.as_str()?).ok()?;
        let wanted = base.join(uri).ok()?;
        let found = self.ids.iter().find(|(id, _)| base.join(id).is_ok_and(|known| known == wanted));
        found.map(|(_, pointer)| pointer.as_str())
    }

    /// Finds a place for the target of each reference; a new part may bring further references.
    pub fn place_all(&mut self) -> Result<(), Unfit> {
        let mut part_of: HashMap<String, usize> = self.parts.iter().cloned().zip(0..).collect();
        let mut next = 0;
        while let Some((resource, text)) = self.references.get(next) {
            next += 1;
            let (pointer, text) = (self.resolve(resource, text)?, *text);
            if self.leads_in_a_circle(&pointer)? {
                return Err(Unfit::Circle(text.to_owned()));
            }
            if self.targets.contains_key(&pointer) {
                continue;
            }
            let (part, rest) = match definition(&pointer) {
                Some((head, rest)) => (part_of.get(head).copied(), rest),
                None => (None, pointer.as_str()),
            };
            let inside = part.map_or(self.root, |part| {
                self.root.pointer(&self.parts[part]).expect("parts are pointers into the schema")
            });
            let target = if is_plain(inside, rest) {
                Placement { part, rest: rest.to_owned() }
            } else {
                let target = self.root.pointer(&pointer).expect("resolve found it");
                check(target, &pointer, &self.budget)?;
                // A target under an unknown keyword was not scanned as a schema yet.
                let enclosing = self.enclosing_resource(&pointer).to_owned();
                self.scan(target, &mut pointer.clone(), &enclosing)?;
                part_of.insert(pointer.clone(), self.parts.len());
                self.parts.push(pointer.clone());
                Placement { part: Some(self.parts.len() - 1), rest: String::new() }
            };
            self.targets.insert(pointer, target);
        }
        Ok(())
    }

    /// Whether the schema at `pointer` refers to another one, and so on without end. A schema that refers to
    /// itself further down is recursive and fine; this one means nothing, and readers that inline overflow.
    fn leads_in_a_circle(&mut self, pointer: &str) -> Result<bool, Unfit> {
        let mut pointer = pointer.to_owned();
        let mut passed = HashSet::new();
        while !self.ending.contains(&pointer) {
            let reference = self.root.pointer(&pointer).and_then(|at| at.get("$ref")).and_then(Value::as_str);
            let next = match reference {
                Some(text) => Some(self.resolve(self.enclosing_resource(&pointer), text)?),
                None => None,
            };
            if !passed.insert(pointer) {
                return Ok(true);
            }
            match next {
                Some(next) => pointer = next,
                None => break,
            }
        }
        self.ending.extend(passed);
        Ok(false)
    }

    /// The pointer of the innermost schema with an `$id` at or above `pointer`.
    pub fn enclosing_resource(&self, pointer: &str) -> &str {
        let holders = self.ids.values().filter(|id| {
            pointer.strip_prefix(id.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        });
        holders.max_by_key(|id| id.len()).map_or("", String::as_str)
    }
}

/// The references in a `discriminator`'s `mapping`; a name of a schema is not a reference.
fn mapping(discriminator: &Value) -> impl Iterator<Item = &str> {
    let mapping = discriminator.get("mapping").and_then(Value::as_object);
    mapping.into_iter().flat_map(Map::values).filter_map(Value::as_str).filter(|text| text.starts_with('#'))
}

/// Splits a pointer below a root definition into that definition's pointer and the rest.
pub(super) fn definition(pointer: &str) -> Option<(&str, &str)> {
    let name = pointer.strip_prefix("/$defs/").or_else(|| pointer.strip_prefix("/definitions/"))?;
    let end = name.find('/').unwrap_or(name.len());
    Some(pointer.split_at(pointer.len() - name.len() + end))
}

/// Whether simple readers, which split a reference at `/` and look up objects, find the schema at `pointer`.
fn is_plain(schema: &Value, pointer: &str) -> bool {
    let simple = |token: &str| {
        !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"$._-".contains(&byte))
    };
    let mut schema = schema;
    let mut tokens = pointer.split('/').skip(1);
    while let Some(keyword) = tokens.next() {
        let held = match holds(keyword) {
            Some(Holds::One | Holds::OneOrList) => schema.get(keyword),
            Some(Holds::Map) => {
                let name = tokens.next().filter(|name| simple(name));
                name.and_then(|name| schema.get(keyword)?.get(name))
            }
            Some(Holds::List) | None => None,
        };
        match held {
            Some(held) if !held.is_array() => schema = held,
            _ => return false,
        }
    }
    true
}

/// One token of a JSON Pointer.
fn escape(token: &str) -> String {
    token.replace('~', "~0").replace('/', "~1")
}
