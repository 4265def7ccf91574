//! What servers define (tools, prompts, resources, themselves), held to the schema of the protocol and to what the strictest
//! of its official SDKs takes: a client refuses a whole list for one odd member of one entry.
//!
//! What is odd is mended where that takes nothing from a reader ([`rules`]); what cannot be mended has to be left out of
//! lists. Unknown members stay. REST documents and the lock know definitions as their servers sent them.

mod date_time;
mod findings;
mod members;
mod output;
mod pattern;
mod rules;
mod schema;

use std::fmt;

use serde_json::{Map, Value};

pub use findings::{Findings, Told};
use output::Root;
use rules::{Flaws, Verdict};

/// Something that a server defines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Defined {
    Tool,
    Prompt,
    Resource,
    ResourceTemplate,
    /// The server itself: `serverInfo`.
    Implementation,
    /// What the server declares itself capable of.
    Capabilities,
    /// One item of the content of a result.
    ContentBlock,
    /// One item of what `resources/read` gives.
    ResourceContents,
}

/// A definition as clients get it, since that is not how its server sent it.
#[derive(Debug, Clone, PartialEq)]
pub struct Mended {
    pub definition: Map<String, Value>,
    /// The `outputSchema` of a tool whose result is not always an object, which revisions with sessions cannot say.
    pub any_output: Option<Value>,
    /// What was wrong with it, as far as that is of interest; never more than a few.
    pub flaws: Vec<Flaw>,
}

/// What is wrong with a member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flaw {
    /// The names that lead to it, with dots between them.
    pub member: String,
    pub wrong: Wrong,
}

/// How a member is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wrong {
    Null,
    Missing,
    /// It is of another kind than the one that is named.
    IsNo(&'static str),
    /// An `outputSchema` that clients could not compile.
    Uncompilable(String),
}

impl fmt::Display for Flaw {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { member, wrong } = self;
        match wrong {
            Wrong::Null => write!(formatter, "`{member}` is null"),
            Wrong::Missing => write!(formatter, "`{member}` is missing"),
            Wrong::IsNo(what) => write!(formatter, "`{member}` is no {what}"),
            Wrong::Uncompilable(why) => write!(formatter, "`{member}` cannot be compiled by clients ({why})"),
        }
    }
}

/// What `definition` becomes for clients; `None` when it is as it should be.
///
/// # Errors
///
/// What is wrong with a definition that cannot be mended.
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

#[cfg(test)]
mod tests;
