//! Moves a self-contained JSON Schema into components of a document, losing nothing.
//!
//! Inside a document `#/$defs/X` would point at the document's own root. So the definitions at the root of the
//! schema become components of their own, and each reference is rewritten to where its target stands now. A
//! target that only a reader with full JSON Pointer could reach (through a list, or an escaped name) gets a
//! component too; the original stays in its place.

mod budget;
mod check;
mod references;
mod writer;

use serde_json::Value;

use self::budget::Budget;
pub(super) use self::budget::Unfit;
use self::check::check;
use self::references::{References, definition};
use self::writer::ComponentWriter;
use crate::catalog::operation_id::{Claim, IdFormat, IdRequest, assign, clean};

/// Schemas of a document by their keys; the first is the whole one.
pub(super) type Components = Vec<(String, Value)>;

/// The steps that a schema may cost.
pub(super) const MOST_STEPS: usize = Budget::MOST;

/// The components that `schema` becomes, for each of `bases`.
///
/// The first is the schema itself, under the key `base`; the others have keys that start with `base` and `_`.
///
/// # Errors
///
/// When the schema is invalid against the meta-schema of 2020-12, refers to anything outside itself, or costs more than a
/// schema may.
pub(super) fn hoist<const N: usize>(schema: &Value, bases: [&str; N]) -> Result<[Components; N], Unfit> {
    let budget = Budget::default();
    check(schema, "", &budget)?;
    let mut references = References::new(schema, budget)?;
    references.place_all()?;
    Ok(bases.map(|base| components(&references, base)))
}

fn components(references: &References<'_>, base: &str) -> Components {
    let keys = part_keys(&references.parts, base);
    let writer = ComponentWriter { references, base, keys: &keys };
    let mut components = vec![(base.to_owned(), writer.root())];
    for (pointer, key) in references.parts.iter().zip(&keys) {
        let part = references.root.pointer(pointer).expect("parts are pointers into the schema");
        components.push((key.clone(), writer.component(part, references.enclosing_resource(pointer))));
    }
    components
}

/// One component key for each part: the definition's own name where it can stand in a key.
fn part_keys(parts: &[String], base: &str) -> Vec<String> {
    let fits = |character: char| character.is_ascii_alphanumeric() || "._-".contains(character);
    let requests: Vec<_> = parts
        .iter()
        .map(|pointer| {
            let named = definition(pointer).filter(|(_, rest)| rest.is_empty());
            let name = match named {
                Some((head, _)) => head.rsplit('/').next().unwrap_or(head),
                None => pointer.trim_start_matches('/'),
            };
            let exact = named.is_some() && !name.is_empty() && name.chars().all(fits);
            let claim = if exact { Claim::Exact } else { Claim::None };
            IdRequest { raw: pointer.clone(), stem: clean(name, fits), claim }
        })
        .collect();
    let keys = assign(&requests, IdFormat { prefix: "", suffix: "", limit: 200 });
    keys.into_iter().map(|key| format!("{base}_{key}")).collect()
}

#[cfg(test)]
mod tests;
