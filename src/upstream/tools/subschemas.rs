//! The JSON Schema keywords that hold schemas. All other values (`const`, `enum`, `default`, unknown keywords) are
//! data, and a `$ref` or an annotation inside data has no meaning.

/// How a keyword holds schemas.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holds {
    One,
    List,
    /// `items`, which was a list before 2020-12.
    OneOrList,
    /// By name. `dependencies` may hold lists of names beside schemas; they are left alone.
    Map,
}

/// The applicators of 2020-12, and those of earlier drafts that its meta-schema still knows.
pub fn holds(keyword: &str) -> Option<Holds> {
    Some(match keyword {
        "additionalItems"
        | "additionalProperties"
        | "contains"
        | "contentSchema"
        | "else"
        | "if"
        | "not"
        | "propertyNames"
        | "then"
        | "unevaluatedItems"
        | "unevaluatedProperties" => Holds::One,
        "allOf" | "anyOf" | "oneOf" | "prefixItems" => Holds::List,
        "items" => Holds::OneOrList,
        "$defs" | "definitions" | "dependencies" | "dependentSchemas" | "patternProperties"
        | "properties" => Holds::Map,
        _ => return None,
    })
}
