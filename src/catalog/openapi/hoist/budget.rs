//! The budget for taking one schema apart, in steps of some ten microseconds; a schema over it becomes a permissive
//! object.

use std::cell::Cell;

use crate::catalog::arguments::pattern::Weight;
use crate::catalog::weight::TEXT;

/// Why a schema cannot stand in an OpenAPI 3.1 document.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    #[error("it is not valid JSON Schema 2020-12 at `{0}`")]
    Invalid(String),
    #[error("it refers to `{0}`, outside of itself")]
    Outside(String),
    #[error("it refers to `{0}`, which it does not hold")]
    Dangling(String),
    #[error("its reference to `{0}` leads in a circle")]
    Circle(String),
    #[error("it takes more than {} steps to take apart", Budget::MOST)]
    Costly,
}

/// The steps that are left for one schema.
#[derive(Debug)]
pub struct Budget(Cell<usize>);

impl Default for Budget {
    fn default() -> Self {
        Self(Cell::new(Self::MOST))
    }
}

impl Budget {
    /// A fifth of a second at the worst; a large schema of a real server takes a thousand.
    pub const MOST: usize = 20_000;

    /// Takes `steps`.
    ///
    /// # Errors
    ///
    /// [`Unfit::Costly`] when fewer are left; then none is.
    pub fn spend(&self, steps: usize) -> Result<(), Unfit> {
        let left = self.0.get().checked_sub(steps);
        self.0.set(left.unwrap_or_default());
        left.map(drop).ok_or(Unfit::Costly)
    }

    /// Takes the steps for a pointer or a reference, which is copied and walked along.
    ///
    /// # Errors
    ///
    /// As [`Budget::spend`].
    pub fn spend_on_path(&self, path: &str) -> Result<(), Unfit> {
        self.spend(1 + path.len() / TEXT)
    }

    /// Takes the steps for compiling a pattern.
    ///
    /// # Errors
    ///
    /// As [`Budget::spend`].
    pub fn spend_on_pattern(&self, pattern: &str) -> Result<(), Unfit> {
        let states = usize::try_from(Weight::of(pattern).size).unwrap_or(usize::MAX);
        self.spend(5 + states / 5)
    }
}
