//! Arguments that a server wants to see in headers, too: `x-mcp-header` in a tool's `inputSchema` (specification
//! 2026-07-28, streamable HTTP, "Custom Headers from Tool Parameters").

use std::collections::HashSet;

use http::HeaderName;
use serde_json::{Map, Value};

use crate::protocol::header::PARAM_PREFIX;
use crate::upstream::tools::subschemas::{Holds, holds};

const ANNOTATION: &str = "x-mcp-header";

/// An argument and its header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderParam {
    /// The keys that lead to it from the arguments as a whole.
    pub path: Vec<String>,
    pub kind: ParamKind,
    /// `Mcp-Param-` and the annotation's value.
    pub header: HeaderName,
}

/// The types that a header can say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParamKind {
    Boolean,
    Integer,
    String,
}

/// Why a definition is invalid: a client must not offer its tool.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidAnnotation {
    #[error(
        "`x-mcp-header` of {place} is not the name of a header: a text of letters, digits and !#$%&'*+-.^_`|~"
    )]
    Name { place: String },
    #[error("{place} is not of type string, integer or boolean, and `x-mcp-header` is for these alone")]
    Type { place: String },
    #[error("{place} has the `x-mcp-header` of another argument (upper and lower case count as one)")]
    Taken { place: String },
    #[error("`x-mcp-header` stands where no chain of `properties` leads to, below {place}")]
    Unreachable { place: String },
}

impl HeaderParam {
    /// The header parameters of a tool, in the order of its schema; hardly any tool has one.
    ///
    /// # Errors
    ///
    /// The first fault of its annotations.
    pub fn all_of(definition: &Map<String, Value>) -> Result<Box<[Self]>, InvalidAnnotation> {
        let mut search = AnnotationSearch { found: Vec::new(), taken: HashSet::new(), path: Vec::new() };
        if let Some(Value::Object(schema)) = definition.get("inputSchema") {
            search.schema(schema, true)?;
        }
        Ok(search.found.into_boxed_slice())
    }
}

struct AnnotationSearch {
    found: Vec<HeaderParam>,
    taken: HashSet<HeaderName>,
    /// To the schema that is looked at, through keywords, too.
    path: Vec<String>,
}

impl AnnotationSearch {
    fn schema(&mut self, schema: &Map<String, Value>, reachable: bool) -> Result<(), InvalidAnnotation> {
        if let Some(annotation) = schema.get(ANNOTATION) {
            self.annotated(schema, annotation, reachable)?;
        }
        for (keyword, value) in schema {
            match (keyword.as_str(), value) {
                ("properties", Value::Object(properties)) => self.named(properties, reachable)?,
                (_, Value::Object(below)) => match holds(keyword) {
                    Some(Holds::One | Holds::List | Holds::OneOrList) => self.step(keyword, below, false)?,
                    Some(Holds::Map) => self.named(below, false)?,
                    None => {}
                },
                (_, Value::Array(several))
                    if matches!(holds(keyword), Some(Holds::List | Holds::OneOrList)) =>
                {
                    for below in several.iter().filter_map(Value::as_object) {
                        self.step(keyword, below, false)?;
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn named(&mut self, schemas: &Map<String, Value>, reachable: bool) -> Result<(), InvalidAnnotation> {
        for (name, below) in schemas {
            if let Value::Object(below) = below {
                self.step(name, below, reachable)?;
            }
        }
        Ok(())
    }

    fn step(
        &mut self,
        key: &str,
        schema: &Map<String, Value>,
        reachable: bool,
    ) -> Result<(), InvalidAnnotation> {
        self.path.push(key.to_owned());
        self.schema(schema, reachable)?;
        self.path.pop();
        Ok(())
    }

    fn annotated(
        &mut self,
        schema: &Map<String, Value>,
        annotation: &Value,
        reachable: bool,
    ) -> Result<(), InvalidAnnotation> {
        let place = || match self.path.is_empty() {
            true => "the schema itself".to_owned(),
            false => format!("`{}`", self.path.join(".")),
        };
        if !reachable || self.path.is_empty() {
            return Err(InvalidAnnotation::Unreachable { place: place() });
        }
        let name = annotation.as_str().filter(|name| !name.is_empty());
        let header = name.and_then(|name| HeaderName::try_from(format!("{PARAM_PREFIX}{name}")).ok());
        let Some(header) = header else {
            return Err(InvalidAnnotation::Name { place: place() });
        };
        let kind = match schema.get("type").and_then(Value::as_str) {
            Some("boolean") => ParamKind::Boolean,
            Some("integer") => ParamKind::Integer,
            Some("string") => ParamKind::String,
            _ => return Err(InvalidAnnotation::Type { place: place() }),
        };
        if !self.taken.insert(header.clone()) {
            return Err(InvalidAnnotation::Taken { place: place() });
        }
        self.found.push(HeaderParam { path: self.path.clone(), kind, header });
        Ok(())
    }
}

#[cfg(test)]
mod tests;
