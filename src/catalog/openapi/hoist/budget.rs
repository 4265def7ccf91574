//! The budget for taking one schema apart, in steps of some ten microseconds; a schema over it becomes a permissive
//! object.

use std::cell::Cell;

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
        self.spend(pattern_size(pattern).saturating_add(5))
    }
}

/// How large a compiled pattern gets: a tenth of its characters, classes of Unicode twentyfold, and what is repeated as often
/// as it may be.
fn pattern_size(pattern: &str) -> usize {
    const WIDE: usize = 20;
    // The sizes of the open groups, each with that of its last part.
    let mut groups = vec![(0_usize, 0_usize)];
    let mut characters = pattern.chars().peekable();
    while let Some(character) = characters.next() {
        let part = match character {
            '(' => {
                groups.push((0, 0));
                continue;
            }
            ')' if groups.len() > 1 => groups.pop().map_or(0, |(size, _)| size),
            '{' => {
                let bounds: String = std::iter::from_fn(|| characters.next_if(|next| *next != '}')).collect();
                let most = bounds.split(',').filter_map(|bound| bound.trim().parse::<usize>().ok()).max();
                if let (Some(most), Some((size, last))) = (most, groups.last_mut()) {
                    let repeated = last.saturating_mul(most);
                    *size = size.saturating_add(repeated);
                    *last = repeated;
                }
                continue;
            }
            '\\' => match characters.next() {
                Some('w' | 'W' | 'd' | 'D' | 's' | 'S' | 'p' | 'P') => WIDE,
                _ => 1,
            },
            '[' => {
                let mut size = if characters.peek() == Some(&'^') { WIDE } else { 1 };
                while let Some(inside) = characters.next_if(|next| *next != ']') {
                    size += 1;
                    if inside == '\\' {
                        size += WIDE;
                        characters.next();
                    }
                }
                characters.next();
                size
            }
            '.' => WIDE,
            _ => 1,
        };
        if let Some((size, last)) = groups.last_mut() {
            *size = size.saturating_add(part);
            *last = part;
        }
    }
    groups.iter().fold(0, |sum: usize, (size, _)| sum.saturating_add(*size)) / 10
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_spent_once() {
        let budget = Budget::default();
        assert_eq!(budget.spend(Budget::MOST), Ok(()));
        assert_eq!(budget.spend(1), Err(Unfit::Costly));
    }

    #[test]
    fn patterns_of_every_day_are_small_and_those_that_repeat_repetitions_are_not() {
        let uuid = "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$";
        let mail = r"^[\w.+-]+@(?:[a-z\d-]+\.)+[a-z]{2,}$";
        for pattern in ["", "^a", "(", ")", "{", "a{", "[", "\\", r"^\d{4}-\d{2}-\d{2}$", uuid, mail] {
            assert!(pattern_size(pattern) < 50, "{pattern}: {}", pattern_size(pattern));
        }
        for pattern in [r"\w{5000}", "(a{1000}){1000}", "((a{100}){100}){100}", "[^a]{9999}", "(ab){0,99999}"]
        {
            assert!(pattern_size(pattern) > 5_000, "{pattern}: {}", pattern_size(pattern));
        }
    }
}
