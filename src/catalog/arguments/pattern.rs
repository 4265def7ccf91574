//! The cost of a schema's regular expression, estimated from its text before it is compiled.
//!
//! A guess upwards in one pass, not a parser: what is no regular expression at all is the compiler's to refuse.

use super::budget::PATTERN_STEPS;
use super::metered::TextCharge;

/// Of a class of Unicode (`\p{..}`), which becomes hundreds of states.
const UNICODE_CLASS: u64 = 400;
/// Of `.` and of a class that excludes: all of UTF-8.
const WIDE_CLASS: u64 = 12;

/// The size of a regular expression, and what matching with it may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Weight {
    /// States of the compiled program, about, with every repetition written out.
    pub size: u64,
    /// Characters of a text that it can be about to match at one time.
    positions: u64,
    /// Look-around, back references and the like: matching tries one way after another.
    backtracks: bool,
}

/// An open group, or the whole.
#[derive(Default)]
struct Group {
    size: u64,
    positions: u64,
    /// Of the last atom, which a repetition that follows is about.
    last: (u64, u64),
}

impl Group {
    fn add(&mut self, size: u64, positions: u64) {
        self.size = self.size.saturating_add(size);
        self.positions = self.positions.saturating_add(positions);
        self.last = (size, positions);
    }

    fn repeat(&mut self, times: u64) {
        let (size, positions) = self.last;
        let more = times.max(1) - 1;
        self.size = self.size.saturating_add(size.saturating_mul(more));
        self.positions = self.positions.saturating_add(positions.saturating_mul(more));
        self.last = (size.saturating_mul(times), positions.saturating_mul(times));
    }
}

impl Weight {
    /// Reads `pattern` through once.
    pub fn of(pattern: &str) -> Self {
        let mut scanner = PatternWeigher { rest: pattern, backtracks: false, folds: false };
        let (mut open, mut group, mut atoms) = (Vec::new(), Group::default(), 0_u32);
        while let Some(next) = scanner.next() {
            match next {
                '(' => {
                    scanner.group();
                    open.push(std::mem::take(&mut group));
                    // A group may hold one atom, and be more than that.
                    atoms += 2;
                }
                ')' => {
                    let inner = std::mem::replace(&mut group, open.pop().unwrap_or_default());
                    group.add(inner.size.saturating_add(1), inner.positions);
                }
                '*' | '+' | '?' => scanner.after_repetition(),
                '{' => match scanner.times() {
                    Some(times) => {
                        group.repeat(times);
                        scanner.after_repetition();
                    }
                    None => group.add(1, 1),
                },
                '^' | '$' | '|' => {}
                atom => {
                    let size = match atom {
                        '\\' => scanner.escape(),
                        '[' => scanner.class(),
                        '.' => WIDE_CLASS,
                        other => other.len_utf8() as u64,
                    };
                    group.add(size, 1);
                    atoms += 1;
                }
            }
        }
        // Open groups count as if they were closed.
        while let Some(outer) = open.pop() {
            let inner = std::mem::replace(&mut group, outer);
            group.add(inner.size, inner.positions);
        }
        let folding = if scanner.folds { 3 } else { 1 };
        // One class, however often: the characters are counted, or one of them is about to match.
        let positions = if atoms == 1 { 1 } else { group.positions.max(1) };
        Self { size: group.size.saturating_mul(folding).max(1), positions, backtracks: scanner.backtracks }
    }

    /// The cost of a match.
    pub fn charge(self) -> TextCharge {
        match self.backtracks {
            true => {
                TextCharge { each: PATTERN_STEPS, byte: (PATTERN_STEPS / 16).saturating_add(self.positions) }
            }
            false => TextCharge { each: 5, byte: self.positions },
        }
    }
}

struct PatternWeigher<'p> {
    rest: &'p str,
    backtracks: bool,
    /// `(?i)` somewhere: most letters become several.
    folds: bool,
}

impl PatternWeigher<'_> {
    fn next(&mut self) -> Option<char> {
        let next = self.rest.chars().next()?;
        self.rest = &self.rest[next.len_utf8()..];
        Some(next)
    }

    fn take(&mut self, wanted: char) -> bool {
        let rest = self.rest.strip_prefix(wanted);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    /// Reads the special part of a group, after its parenthesis.
    fn group(&mut self) {
        if !self.take('?') {
            return;
        }
        for sign in ["<=", "<!", "=", "!", ">"] {
            if let Some(rest) = self.rest.strip_prefix(sign) {
                (self.rest, self.backtracks) = (rest, true);
                return;
            }
        }
        // A condition.
        self.backtracks |= self.rest.starts_with('(');
        if let Some(name) = self.rest.strip_prefix("P<").or_else(|| self.rest.strip_prefix('<')) {
            self.rest = name.split_once('>').map_or("", |(_, rest)| rest);
            return;
        }
        let end = self.rest.find(|sign: char| !sign.is_ascii_alphabetic() && sign != '-');
        let (flags, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        self.folds |= flags.contains('i');
        self.rest = rest.strip_prefix(':').unwrap_or(rest);
    }

    /// The size of an escape, after its backslash.
    fn escape(&mut self) -> u64 {
        match self.next() {
            Some('1'..='9' | 'k' | 'g' | 'G' | 'K') => {
                self.backtracks = true;
                1
            }
            Some('p' | 'P') => {
                if self.take('{') {
                    self.rest = self.rest.split_once('}').map_or("", |(_, rest)| rest);
                }
                UNICODE_CLASS
            }
            Some('D' | 'S' | 'W') => WIDE_CLASS,
            _ => 2,
        }
    }

    /// The size of a class, after its bracket.
    fn class(&mut self) -> u64 {
        let mut size = if self.take('^') { WIDE_CLASS } else { 1 };
        while let Some(next) = self.next() {
            match next {
                ']' => break,
                '\\' => size += self.escape(),
                other if other.is_ascii() => {}
                _ => size += 2,
            }
        }
        size
    }

    /// The most of `{m,n}` after its brace; `None` when it is no repetition.
    fn times(&mut self) -> Option<u64> {
        let (inside, rest) = self.rest.split_once('}')?;
        let (least, most) = inside.split_once(',').unwrap_or((inside, inside));
        let number = |digits: &str| match digits.trim() {
            "" => Some(0),
            digits if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                Some(digits.parse::<u64>().unwrap_or(u64::MAX))
            }
            _ => None,
        };
        let times = number(least)?.saturating_add(1).max(number(most)?);
        self.rest = rest;
        Some(times)
    }

    /// `*+` and the like never step back into what they took.
    fn after_repetition(&mut self) {
        self.backtracks |= self.take('+');
        self.take('?');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repetitions_multiply_what_they_repeat() {
        for (pattern, size) in [
            ("", 1),
            ("abc", 3),
            ("a{10}", 11),
            ("a{2,10}", 10),
            ("a{10,}", 11),
            ("(ab){10}", 33),
            ("((a{1,9}){1,9}){1,9}", 819),
            ("x{a}", 4),
            (r"\p{L}{2}", 1200),
            ("(?i)abc", 12),
        ] {
            assert_eq!(Weight::of(pattern).size, size, "{pattern}");
        }
        assert_eq!(Weight::of("((a{1,99999}){1,99999}){1,99999999999999999999}").size, u64::MAX);
    }

    #[test]
    fn what_steps_back_is_told_from_what_does_not() {
        for pattern in [r"(a)\1", "(?=a)", "(?!a)b", "(?<=a)b", "(?<!a)b", "(?>a+)b", "a++b", r"(?<n>a)\k<n>"]
        {
            assert!(Weight::of(pattern).backtracks, "{pattern}");
        }
        for pattern in ["(a+)+$", "(?:a|b)*?", "(?<name>a)b", "(?i)a", r"\d+\.\w", "[(?=)]", "a{2,3}?"] {
            assert!(!Weight::of(pattern).backtracks, "{pattern}");
        }
    }

    #[test]
    fn one_class_is_about_to_match_one_character_however_often_it_is_repeated() {
        assert_eq!(Weight::of(r"^[\s\S]{1,65536}$").charge().byte, 1);
        assert_eq!(Weight::of(r"^.{0,262144}$").charge().byte, 1);
        assert_eq!(Weight::of("^a[0-9]{1,20}$").charge().byte, 21);
        assert_eq!(Weight::of("([01]{0,99}a?){0,60}[01]{300}z$").charge().byte, 6302);
    }
}
