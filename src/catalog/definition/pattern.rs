//! The regular expressions that readers take.
//!
//! Those that every JavaScript engine takes with the flag `u`, which schema compilers set: not all of them, but
//! what schemas hold in practice. A single escape that is needless without the flag (`\_`, `\-`) is an error with it.

use std::iter::Peekable;
use std::str::Chars;

/// Characters that may be escaped anywhere.
const SYNTAX: &str = "^$\\.*+?()[]{}|/";
/// General categories that `\p{..}` may name.
const CATEGORIES: [&str; 16] =
    ["L", "Lu", "Ll", "Lt", "Lm", "Lo", "M", "N", "Nd", "Nl", "No", "P", "S", "Z", "Zs", "C"];

/// Whether `pattern` is one for sure.
pub fn is_portable(pattern: &str) -> bool {
    PatternScanner { rest: pattern.chars().peekable() }.scan().is_some()
}

/// Letters that Python's `re` knows behind a backslash.
const PYTHON: &str = "AbBdDsSwWZafnrtuUvxN";

/// Whether Python's `re` takes `pattern`, by its escapes, groups and brackets.
///
/// ECMA-262 has more of them.
pub fn is_python(pattern: &str) -> bool {
    let mut rest = pattern.chars().peekable();
    let (mut groups, mut is_class) = (0_usize, false);
    while let Some(next) = rest.next() {
        match next {
            '\\' => match rest.next() {
                None => return false,
                Some('u') if rest.peek() == Some(&'{') => return false,
                Some(letter) if letter.is_ascii_alphabetic() && !PYTHON.contains(letter) => return false,
                Some(_) => {}
            },
            ']' if is_class => is_class = false,
            _ if is_class => {}
            '[' => {
                is_class = true;
                rest.next_if_eq(&'^');
                // Right there it is one of the characters.
                rest.next_if_eq(&']');
            }
            '(' => {
                groups += 1;
                let is_named = rest.next_if_eq(&'?').is_some() && rest.next_if_eq(&'<').is_some();
                if is_named && !matches!(rest.peek(), Some('=' | '!')) {
                    return false;
                }
            }
            ')' => match groups.checked_sub(1) {
                Some(less) => groups = less,
                None => return false,
            },
            _ => {}
        }
    }
    groups == 0 && !is_class
}

struct PatternScanner<'p> {
    rest: Peekable<Chars<'p>>,
}

/// One character of a class, or several.
#[derive(PartialEq)]
enum Atom {
    One(char),
    Many,
}

impl PatternScanner<'_> {
    fn scan(&mut self) -> Option<()> {
        // Whether each open group may be repeated.
        let mut open = Vec::new();
        let mut can_repeat = false;
        while let Some(next) = self.rest.next() {
            can_repeat = match next {
                '(' => {
                    open.push(self.group()?);
                    false
                }
                ')' => open.pop()?,
                '[' => self.class()?,
                '\\' if self.rest.next_if(|next| matches!(next, 'b' | 'B')).is_some() => false,
                '\\' => self.escape().map(|_| true)?,
                '*' | '+' | '?' | '{' => {
                    if !can_repeat || next == '{' && !self.times()? {
                        return None;
                    }
                    self.rest.next_if_eq(&'?');
                    false
                }
                '}' | ']' => return None,
                '^' | '$' | '|' => false,
                _ => true,
            };
        }
        open.is_empty().then_some(())
    }

    /// The text after an opening parenthesis; whether the group may be repeated.
    fn group(&mut self) -> Option<bool> {
        if self.rest.next_if_eq(&'?').is_none() {
            return Some(true);
        }
        match self.rest.next()? {
            ':' => Some(true),
            '=' | '!' => Some(false),
            '<' => self.rest.next_if(|next| matches!(next, '=' | '!')).map(|_| false),
            _ => None,
        }
    }

    /// The rest of `{n}`, `{n,}` or `{n,m}`; whether it is in order.
    fn times(&mut self) -> Option<bool> {
        let least = self.number()?;
        match self.rest.next()? {
            '}' => Some(true),
            ',' if self.rest.next_if_eq(&'}').is_some() => Some(true),
            ',' => {
                let most = self.number()?;
                Some(self.rest.next()? == '}' && least <= most)
            }
            _ => None,
        }
    }

    fn number(&mut self) -> Option<u32> {
        let mut digits = String::new();
        while let Some(digit) = self.rest.next_if(char::is_ascii_digit) {
            digits.push(digit);
        }
        digits.parse().ok()
    }

    /// The rest of a class; always true when there is one.
    fn class(&mut self) -> Option<bool> {
        self.rest.next_if_eq(&'^');
        loop {
            let first = match self.member()? {
                None => return Some(true),
                Some(first) => first,
            };
            if self.rest.next_if_eq(&'-').is_none() {
                continue;
            }
            match (first, self.member()?) {
                // The hyphen is the last character.
                (_, None) => return Some(true),
                (Atom::One(first), Some(Atom::One(last))) if first <= last => {}
                _ => return None,
            }
        }
    }

    /// The next member of a class; `None` inside at its end.
    fn member(&mut self) -> Option<Option<Atom>> {
        Some(match self.rest.next()? {
            ']' => None,
            '\\' if self.rest.next_if_eq(&'-').is_some() => Some(Atom::One('-')),
            '\\' if self.rest.next_if_eq(&'b').is_some() => Some(Atom::One('\u{8}')),
            '\\' => Some(self.escape()?),
            other => Some(Atom::One(other)),
        })
    }

    fn escape(&mut self) -> Option<Atom> {
        Some(match self.rest.next()? {
            'd' | 'D' | 'w' | 'W' | 's' | 'S' => Atom::Many,
            'n' => Atom::One('\n'),
            'r' => Atom::One('\r'),
            't' => Atom::One('\t'),
            'v' => Atom::One('\u{b}'),
            'f' => Atom::One('\u{c}'),
            'x' => Atom::One(self.code(2)?),
            'u' if self.rest.next_if_eq(&'{').is_none() => Atom::One(self.code(4)?),
            'p' | 'P' if self.rest.next_if_eq(&'{').is_some() => {
                let mut name = String::new();
                while let Some(letter) = self.rest.next_if(char::is_ascii_alphabetic) {
                    name.push(letter);
                }
                let is_known = self.rest.next()? == '}' && CATEGORIES.contains(&name.as_str());
                is_known.then_some(Atom::Many)?
            }
            other if SYNTAX.contains(other) => Atom::One(other),
            _ => return None,
        })
    }

    /// A character by its number; `None` for half of a surrogate pair.
    fn code(&mut self, digits: usize) -> Option<char> {
        let mut number = 0;
        for _ in 0..digits {
            number = number * 16 + self.rest.next()?.to_digit(16)?;
        }
        char::from_u32(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_javascript_takes_in_unicode_mode_is_told_from_what_it_refuses() {
        for good in [
            "",
            "^[a-z0-9_.-]+$",
            r"^\d{4}-\d{2}-\d{2}$",
            r"^(?:a|b)*?(?=c)(?<!d)e{2,}f{1,3}$",
            r"[\w\-\]\[^]",
            r"^\p{L}[\p{Lu}\s]*\u00e9\x41\/$",
            "[^]",
            "[]",
            "ä{1}",
        ] {
            assert!(is_portable(good), "{good}");
        }
        for bad in [
            "(",
            ")",
            "[a",
            "]",
            "}",
            "a{",
            "a{2,1}",
            "a{,2}",
            "*a",
            "a**",
            "(?=a)*",
            r"\_",
            r"\-",
            r"\1",
            r"\p{Greek}",
            "(?i)a",
            "(?P<n>a)",
            "[z-a]",
            r"[\d-z]",
            r"a\",
            r"\u12",
            r"\ud83d",
            "^*",
        ] {
            assert!(!is_portable(bad), "{bad}");
        }
    }

    #[test]
    fn what_python_takes_is_told_from_what_only_others_have() {
        for good in [
            "",
            r"^(?i)\d{3}\-\w+\Z$",
            r"(?P<n>a)(?P=n)(?<=b)(?<!c)",
            "[]a][^]]",
            r"[(\]]",
            r"\u00e9\/\.",
            r"\1",
        ] {
            assert!(is_python(good), "{good}");
        }
        for bad in [
            "(",
            ")",
            "[a",
            "[]",
            r"a\",
            r"^\p{L}+$",
            r"[\P{L}]",
            "(?<name>a)",
            r"\u{1F600}",
            r"\cA",
            r"\k<a>",
        ] {
            assert!(!is_python(bad), "{bad}");
        }
    }
}
