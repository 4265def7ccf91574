//! Flaws of a definition, and the verdict on each value in it.

use serde_json::Value;

use crate::json::clip;

/// Flaws of one definition that are reported.
const MOST_FLAWS: usize = 16;
/// Bytes of a name in a flaw: servers choose the names of properties.
const LONGEST_NAME: usize = 64;

/// A member that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{member}` {wrong}")]
pub struct Flaw {
    /// The names that lead to it, with dots between them.
    pub member: String,
    pub wrong: Wrong,
}

/// How a member is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Wrong {
    #[error("is null")]
    Null,
    #[error("is missing")]
    Missing,
    /// It is of another kind than this.
    #[error("is no {0}")]
    IsNo(&'static str),
    /// An `outputSchema` that clients could not compile.
    #[error("cannot be compiled by clients ({0})")]
    Uncompilable(String),
}

/// The flaws that were found, and the place of the search.
#[derive(Debug, Default)]
pub struct Flaws {
    list: Vec<Flaw>,
    last: Option<Flaw>,
    path: Vec<String>,
}

impl Flaws {
    /// Adds a flaw at the path.
    pub fn add(&mut self, wrong: Wrong) {
        let flaw = Flaw { member: self.path.join("."), wrong };
        if self.list.len() < MOST_FLAWS && !self.list.contains(&flaw) {
            self.list.push(flaw.clone());
        }
        self.last = Some(flaw);
    }

    pub fn add_no(&mut self, what: &'static str, value: &Value) {
        self.add(if value.is_null() { Wrong::Null } else { Wrong::IsNo(what) });
    }

    pub fn within<T>(&mut self, name: &str, look: impl FnOnce(&mut Self) -> T) -> T {
        self.path.push(clip(name, LONGEST_NAME).to_owned());
        let seen = look(self);
        self.path.pop();
        seen
    }

    pub fn into_list(self) -> Vec<Flaw> {
        self.list
    }

    /// The one that was decisive.
    pub fn last(self) -> Flaw {
        self.last.unwrap_or(Flaw { member: String::new(), wrong: Wrong::Missing })
    }
}

/// The treatment of a value.
#[derive(Debug)]
pub enum Verdict<T> {
    Fits,
    Mend(T),
    Drop,
}

impl<T> Verdict<T> {
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Verdict<U> {
        match self {
            Self::Fits => Verdict::Fits,
            Self::Mend(value) => Verdict::Mend(change(value)),
            Self::Drop => Verdict::Drop,
        }
    }
}

/// Items that cannot be mended are left out.
pub fn mended_list(items: &[Value], mut look: impl FnMut(&Value) -> Verdict<Value>) -> Verdict<Value> {
    let mut changed: Option<Vec<Value>> = None;
    for (index, item) in items.iter().enumerate() {
        let kept = match look(item) {
            Verdict::Fits if changed.is_none() => continue,
            Verdict::Fits => Some(item.clone()),
            Verdict::Mend(value) => Some(value),
            Verdict::Drop => None,
        };
        changed.get_or_insert_with(|| items[..index].to_vec()).extend(kept);
    }
    changed.map_or(Verdict::Fits, |items| Verdict::Mend(items.into()))
}
