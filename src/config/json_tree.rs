//! A configuration file as a tree that knows its lines: JSON with comments, trailing commas and a byte
//! order mark.
//!
//! The tree keeps the order of members and every duplicate, so that the readers above can report them.

use std::path::Path;

use jsonc_parser::ast;
use jsonc_parser::common::Ranged;
use jsonc_parser::{CollectOptions, ParseOptions, parse_to_ast};

use super::location::{Location, Position};
use super::problem::Problems;
use crate::file;

/// No configuration is this long; a device or a log named by mistake must not fill the memory. In bytes.
const LONGEST_FILE: u64 = 16 * 1024 * 1024;

/// One value and where it stands.
#[derive(Debug, Clone)]
pub(super) struct JsonNode {
    pub position: Position,
    pub value: JsonValue,
}

/// The kind of a value. Numbers are kept as written.
#[derive(Debug, Clone)]
pub(super) enum JsonValue {
    Null,
    Boolean(bool),
    Number(String),
    Text(String),
    List(Vec<JsonNode>),
    Object(Vec<JsonMember>),
}

/// One member of an object; its position is that of the name.
#[derive(Debug, Clone)]
pub(super) struct JsonMember {
    pub name: String,
    pub position: Position,
    pub value: JsonNode,
}

impl JsonNode {
    /// The kind of this value, for messages, which never quote the value itself.
    pub fn kind(&self) -> &'static str {
        match self.value {
            JsonValue::Null => "null",
            JsonValue::Boolean(_) => "true or false",
            JsonValue::Number(_) => "a number",
            JsonValue::Text(_) => "a string",
            JsonValue::List(_) => "a list",
            JsonValue::Object(_) => "an object",
        }
    }
}

/// Reads and parses `path`; `None` when it could not be, which is then among the problems.
pub(super) fn read(path: &Path, problems: &mut Problems) -> Option<JsonNode> {
    let location = Location::file(path);
    let bytes = match file::read(path, LONGEST_FILE) {
        Ok(bytes) => bytes,
        Err(error) => {
            problems.error(&location, format!("the file cannot be read: {error}"), remedy(&error));
            return None;
        }
    };
    match String::from_utf8(bytes) {
        Ok(text) => parse(path, &text, problems),
        Err(error) => {
            let offset = error.utf8_error().valid_up_to();
            let message = format!("the file is not UTF-8 (byte {} is the first bad one)", offset + 1);
            problems.error(&location, message, "save the file as UTF-8");
            None
        }
    }
}

/// Parses the text of `path`; `None` when its syntax is wrong, which is then among the problems.
pub(super) fn parse(path: &Path, text: &str, problems: &mut Problems) -> Option<JsonNode> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    // Comments and trailing commas are all that people expect of a configuration; the parser's further
    // liberties would make files that no other client reads.
    let options = ParseOptions {
        allow_comments: true,
        allow_trailing_commas: true,
        allow_loose_object_property_names: false,
        allow_missing_commas: false,
        allow_single_quoted_strings: false,
        allow_hexadecimal_numbers: false,
        allow_unary_plus_numbers: false,
        allow_bare_decimal_point_numbers: false,
        allow_non_finite_numbers: false,
        allow_extended_string_escapes: false,
    };
    let mut location = Location::file(path);
    let lines = LineIndex::new(text);
    match parse_to_ast(text, &CollectOptions::default(), &options) {
        Ok(parsed) => match parsed.value {
            Some(value) => Some(convert(value, &lines)),
            None => {
                problems.error(&location, "the file is empty", "write at least `{ \"mcpServers\": {} }`");
                None
            }
        },
        Err(error) => {
            location.position = Some(lines.position(error.range().start));
            let message = format!("the JSON is broken: {}", lower_first(&error.kind().to_string()));
            let fix = "correct the JSON around here; comments and trailing commas are allowed";
            problems.error(&location, message, fix);
            None
        }
    }
}

fn remedy(error: &std::io::Error) -> &'static str {
    use std::io::ErrorKind;
    match error.kind() {
        ErrorKind::NotFound => "check the path given to --config",
        ErrorKind::IsADirectory => "name the file in it, for instance config.json",
        ErrorKind::FileTooLarge => "name the configuration file itself",
        ErrorKind::PermissionDenied => "let the user that runs mcpo read the file",
        _ => "see that the file can be read by the user that runs mcpo",
    }
}

fn convert(value: ast::Value<'_>, lines: &LineIndex<'_>) -> JsonNode {
    let position = lines.position(value.start());
    let value = match value {
        ast::Value::NullKeyword(_) => JsonValue::Null,
        ast::Value::BooleanLit(literal) => JsonValue::Boolean(literal.value),
        ast::Value::NumberLit(literal) => JsonValue::Number(literal.value.to_owned()),
        ast::Value::StringLit(literal) => JsonValue::Text(literal.value.into_owned()),
        ast::Value::Array(array) => {
            JsonValue::List(array.elements.into_iter().map(|element| convert(element, lines)).collect())
        }
        ast::Value::Object(object) => JsonValue::Object(
            object.properties.into_iter().map(|member| convert_member(member, lines)).collect(),
        ),
    };
    JsonNode { position, value }
}

fn convert_member(member: ast::ObjectProp<'_>, lines: &LineIndex<'_>) -> JsonMember {
    let position = lines.position(member.range.start);
    JsonMember { position, value: convert(member.value, lines), name: member.name.into_string() }
}

/// How many bytes lie between two points whose characters were counted: a whole configuration may be one line.
const BLOCK: usize = 256;

/// Where the lines of a text begin, and how many characters stand before each block.
struct LineIndex<'a> {
    text: &'a [u8],
    starts: Vec<usize>,
    characters: Vec<usize>,
}

impl<'a> LineIndex<'a> {
    fn new(text: &'a str) -> Self {
        let starts = std::iter::once(0).chain(text.match_indices('\n').map(|(index, _)| index + 1)).collect();
        let text = text.as_bytes();
        let mut characters = vec![0];
        for block in text.chunks(BLOCK) {
            characters.push(characters[characters.len() - 1] + count(block));
        }
        Self { text, starts, characters }
    }

    fn position(&self, offset: usize) -> Position {
        let line = self.starts.partition_point(|start| *start <= offset);
        let column = self.characters_before(offset) - self.characters_before(self.starts[line - 1]) + 1;
        Position { line, column }
    }

    fn characters_before(&self, offset: usize) -> usize {
        let block = offset / BLOCK;
        self.characters[block] + count(&self.text[block * BLOCK..offset])
    }
}

/// The characters that begin in `bytes` of UTF-8.
fn count(bytes: &[u8]) -> usize {
    bytes.iter().filter(|byte| (**byte).cast_signed() >= -0x40).count()
}

fn lower_first(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map_or_else(String::new, |first| first.to_lowercase().chain(characters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Purpose;

    fn parsed(text: &str) -> Result<JsonNode, String> {
        let mut problems = Problems::new(Purpose::Check);
        match parse(Path::new("c.json"), text, &mut problems) {
            Some(node) => Ok(node),
            None => Err(problems.into_sorted()[0].to_string()),
        }
    }

    #[test]
    fn comments_trailing_commas_and_a_byte_order_mark_are_read() {
        let node = parsed("\u{feff}{ // why\n \"a\": [1, 2,], /* more */\n}").unwrap();
        assert_eq!(node.position, Position { line: 1, column: 1 });
        let JsonValue::Object(members) = node.value else { panic!("an object was written") };
        assert_eq!(members[0].position, Position { line: 2, column: 2 });
        assert_eq!(members[0].value.position, Position { line: 2, column: 7 });
    }

    #[test]
    fn columns_are_characters_also_far_into_a_long_line() {
        let text = format!("\n{{\"a\": \"{}\", \"b\": 1}}", "ä€😀".repeat(500));
        let JsonValue::Object(members) = parsed(&text).unwrap().value else {
            panic!("an object was written")
        };
        assert_eq!(members[1].position, Position { line: 2, column: 1511 });
    }

    #[test]
    fn duplicates_and_the_order_of_members_are_kept() {
        let JsonValue::Object(members) = parsed(r#"{"b": 1, "a": 2, "b": 3}"#).unwrap().value else {
            panic!("an object was written")
        };
        let names: Vec<&str> = members.iter().map(|member| member.name.as_str()).collect();
        assert_eq!(names, ["b", "a", "b"]);
    }

    #[test]
    fn broken_syntax_is_reported_with_line_and_column() {
        for (text, location) in [
            ("{\n  \"ä\": 1 \"b\": 2}", "c.json:2:9"),
            ("{'a': 1}", "c.json:1:2"),
            ("{a: 1}", "c.json:1:2"),
            ("{\"a\": }", "c.json:1:"),
            ("{\"a\": 1", "c.json:1:1"),
            ("{} {}", "c.json:1:4"),
        ] {
            let problem = parsed(text).unwrap_err();
            assert!(problem.starts_with(&format!("error: {location}")), "{text}: {problem}");
            assert!(problem.contains("the JSON is broken"), "{problem}");
        }
        assert!(parsed("  // nothing\n").unwrap_err().contains("the file is empty"));
    }

    #[test]
    fn a_file_that_cannot_be_read_says_why_and_what_to_do() {
        let directory = tempfile::tempdir().unwrap();
        let latin = directory.path().join("latin.json");
        std::fs::write(&latin, b"{\"a\": \"\xe4\"}").unwrap();
        for (path, message, fix) in [
            (directory.path().join("none.json"), "No such file", "check the path"),
            (directory.path().to_owned(), "directory", "name the file in it"),
            (latin, "not UTF-8 (byte 8 ", "save the file as UTF-8"),
        ] {
            let mut problems = Problems::new(Purpose::Check);
            assert!(read(&path, &mut problems).is_none());
            let problem = problems.into_sorted().remove(0);
            assert!(problem.message.contains(message), "{problem}");
            assert!(problem.fix.contains(fix), "{problem}");
        }
    }
}
