//! Paths and titles: how names of servers and tools are written in keys, links and headings.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::config::ServerName;

/// RFC 3986 `pchar` without the marks that Markdown or form decoding would take for its own; `{` and `}`
/// must not appear, since a path key holding them is a template.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'!')
    .remove(b'$')
    .remove(b'&')
    .remove(b',')
    .remove(b';')
    .remove(b'=')
    .remove(b':')
    .remove(b'@');

/// A name as one segment of a URL's path.
pub fn path_segment(name: &str) -> String {
    utf8_percent_encode(name, SEGMENT).to_string()
}

/// The path of a server below `prefix`, which starts and ends with `/`; no `/` at the end.
pub fn mount_path(prefix: &str, server: &ServerName) -> String {
    format!("{prefix}{}", path_segment(server.as_str()))
}

/// Title case as in Python's `str.title()`, with blanks for `_`: mcpo's summaries.
///
/// A letter after a letter is lower case, any other is upper case.
pub(super) fn title(name: &str) -> String {
    let mut text = String::with_capacity(name.len());
    let mut in_word = false;
    for character in name.chars() {
        let cased = character.is_uppercase() || character.is_lowercase();
        if character == '_' {
            text.push(' ');
        } else if in_word {
            text.extend(character.to_lowercase());
        } else {
            let mut upper = character.to_uppercase();
            text.extend(upper.next());
            text.extend(upper.flat_map(char::to_lowercase));
        }
        in_word = cased;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_keep_what_a_path_allows_and_encode_the_rest() {
        for (name, segment) in [
            ("get_current-time.v1~", "get_current-time.v1~"),
            ("a:b", "a:b"),
            ("{x}", "%7Bx%7D"),
            ("with/slash", "with%2Fslash"),
            ("a?b#c%20d e", "a%3Fb%23c%2520d%20e"),
            ("日", "%E6%97%A5"),
            ("", ""),
        ] {
            assert_eq!(path_segment(name), segment);
        }
    }

    #[test]
    fn titles_are_those_of_python() {
        for (name, expected) in [
            ("get_current_time", "Get Current Time"),
            ("get-env", "Get-Env"),
            ("CamelCase", "Camelcase"),
            ("1digit", "1Digit"),
            ("a:b", "A:B"),
            ("with.dot", "With.Dot"),
            ("ünïcode", "Ünïcode"),
            ("日本", "日本"),
            ("", ""),
        ] {
            assert_eq!(title(name), expected);
        }
    }
}
