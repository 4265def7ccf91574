//! Definitions as clients get them.

use serde_json::{Map, Value};

use super::flaw::{Flaw, Flaws, Verdict};
use super::members::Defined;
use super::output::{self, Root};
use super::rules;

/// A definition as clients get it, since that is not how its server sent it.
#[derive(Debug, Clone, PartialEq)]
pub struct Mended {
    pub definition: Map<String, Value>,
    /// The `outputSchema` of a tool whose result is not always an object.
    ///
    /// The session era cannot express it.
    pub any_output: Option<Value>,
    /// The flaws of the definition; never more than a few.
    pub flaws: Vec<Flaw>,
}

/// `definition` as clients get it; `None` when it needs no change.
///
/// # Errors
///
/// The flaw of a definition that cannot be mended.
pub fn mended(kind: Defined, definition: &Map<String, Value>) -> Result<Option<Mended>, Flaw> {
    let mut flaws = Flaws::default();
    let changed = match rules::held(kind, definition, &mut flaws) {
        Verdict::Fits => return Ok(None),
        Verdict::Mend(changed) => changed,
        Verdict::Drop => return Err(flaws.last()),
    };
    let any_output = (kind == Defined::Tool).then(|| any_output(definition)).flatten();
    Ok(Some(Mended { definition: changed, any_output, flaws: flaws.into_list() }))
}

/// The `outputSchema` of a tool whose root is no object's, as far as clients can compile it.
fn any_output(definition: &Map<String, Value>) -> Option<Value> {
    let schema = definition.get("outputSchema")?.as_object()?;
    let is_other = output::root(schema) == Root::Other && output::compiles(schema).is_ok();
    is_other.then(|| Value::Object(output::without_id(schema).unwrap_or_else(|| schema.clone())))
}
