//! Differences of tools from the lock, in words. Pure.
//!
//! Texts come from servers that may mean harm: characters that fool a terminal or an eye (controls, invisible and
//! direction-changing ones) are shown by their numbers.

use std::collections::BTreeSet;
use std::fmt;
use std::io::Cursor;

use serde::Serialize;
use serde_json::{Map, Value};

use super::weight::weight_of_members;
use crate::config::lock::{LOCKED, LockedTool, ServerLock};

/// The largest tool that is compared; a larger one drifts without its lines.
const MOST_WEIGHT: usize = 20_000;
/// Lines of one tool's difference; further ones are counted.
const MOST_LINES: usize = 30;
/// Characters of one value; the part around the first difference is shown.
const WIDTH: usize = 160;
/// Characters before the first difference.
const BEFORE: usize = 40;

/// One tool that is not as it was locked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Drift {
    /// The server's own name for it.
    pub tool: String,
    pub change: DriftKind,
    /// The differences, a line each; `-` was locked, `+` is now.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub diff: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum DriftKind {
    /// It says something else than was locked.
    Changed,
    /// It is not in the lock.
    New,
    /// It is in the lock, and the server has it no more.
    Missing,
}

impl DriftKind {
    pub fn name(self) -> &'static str {
        match self {
            Self::Changed => "changed",
            Self::New => "new",
            Self::Missing => "missing",
        }
    }
}

impl fmt::Display for DriftKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Changed => "has changed since it was locked",
            Self::New => "is not in the lock",
            Self::Missing => "is in the lock, and the server has it no more",
        })
    }
}

impl fmt::Display for Drift {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", shown(&self.tool), self.change)?;
        self.diff.iter().try_for_each(|line| write!(formatter, "\n    {line}"))
    }
}

/// How one tool differs from what was locked; `None` when it does not.
pub fn of_tool(lock: &ServerLock, definition: &Map<String, Value>) -> Option<Drift> {
    let now = LockedTool::of(definition);
    let tool = definition.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
    match lock.tools.get(&tool) {
        Some(locked) if locked.digest == now.digest => None,
        Some(locked) => {
            Some(Drift { tool, change: DriftKind::Changed, diff: diff(&locked.definition, &now.definition) })
        }
        None => Some(Drift { tool, change: DriftKind::New, diff: diff(&Map::new(), &now.definition) }),
    }
}

/// How all tools of a server differ, sorted by name.
pub fn between(lock: &ServerLock, now: &ServerLock) -> Vec<Drift> {
    let of_now = now.tools.values().filter_map(|tool| of_tool(lock, &tool.definition));
    let missing = lock.tools.keys().filter(|tool| !now.tools.contains_key(*tool)).map(|tool| missing(tool));
    let mut all: Vec<Drift> = of_now.chain(missing).collect();
    all.sort_by(|left, right| left.tool.cmp(&right.tool));
    all
}

/// A tool that its server has no more.
pub fn missing(tool: &str) -> Drift {
    Drift { tool: tool.to_owned(), change: DriftKind::Missing, diff: Vec::new() }
}

/// The lines that are shown, and how many more there are.
#[derive(Default)]
struct DiffLines {
    shown: Vec<String>,
    more: usize,
}

impl DiffLines {
    fn push(&mut self, line: impl FnOnce() -> String) {
        if self.shown.len() < MOST_LINES {
            self.shown.push(line());
        } else {
            self.more += 1;
        }
    }
}

fn diff(old: &Map<String, Value>, new: &Map<String, Value>) -> Vec<String> {
    if weight_of_members(old) + weight_of_members(new) > MOST_WEIGHT {
        return vec!["... it says too much to be compared".to_owned()];
    }
    let mut lines = DiffLines::default();
    for key in LOCKED.into_iter().filter(|key| *key != "name") {
        value(key, old.get(key), new.get(key), &mut lines);
    }
    let DiffLines { mut shown, more } = lines;
    if more > 0 {
        shown.push(format!("... and {more} more"));
    }
    shown
}

fn value(path: &str, old: Option<&Value>, new: Option<&Value>, lines: &mut DiffLines) {
    match (old, new) {
        (old, new) if old == new => {}
        (Some(Value::Object(old)), Some(Value::Object(new))) => members(path, old, new, lines),
        // Whole where it fits, else by its members: what a new argument says of itself must not be cut away.
        (None, Some(Value::Object(new))) if is_long(new) => members(path, &Map::new(), new, lines),
        (Some(Value::Object(old)), None) if is_long(old) => members(path, old, &Map::new(), lines),
        (Some(Value::Array(old)), Some(Value::Array(new))) if old.len() == new.len() => {
            for (index, (old, new)) in old.iter().zip(new).enumerate() {
                value(&format!("{path}[{index}]"), Some(old), Some(new), lines);
            }
        }
        (Some(Value::String(old)), Some(Value::String(new))) => text(path, old, new, lines),
        (old, new) => {
            let mut line = |sign: char, value: Option<&Value>| {
                if let Some(value) = value {
                    lines.push(|| format!("{sign} {path}: {}", cut(&value.to_string(), 0)));
                }
            };
            line('-', old);
            line('+', new);
        }
    }
}

fn members(path: &str, old: &Map<String, Value>, new: &Map<String, Value>, lines: &mut DiffLines) {
    let keys: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    for key in keys {
        value(&format!("{path}.{}", cut(key, 0)), old.get(key), new.get(key), lines);
    }
}

/// Whether the text of an object has more than [`WIDTH`] characters; no more of it than that is written.
fn is_long(members: &Map<String, Value>) -> bool {
    /// Of a character, in bytes.
    const LONGEST: usize = 4;
    let mut beginning = Cursor::new([0; LONGEST * WIDTH]);
    let written = serde_json::to_writer(&mut beginning, members);
    let length = beginning.position() as usize;
    written.is_err() || String::from_utf8_lossy(&beginning.get_ref()[..length]).chars().count() > WIDTH
}

/// The lines that differ of a text.
fn text(path: &str, old: &str, new: &str, lines: &mut DiffLines) {
    let (old, new): (Vec<&str>, Vec<&str>) = (old.split('\n').collect(), new.split('\n').collect());
    let same = old.iter().zip(&new).take_while(|(old, new)| old == new).count();
    let (old, new) = (&old[same..], &new[same..]);
    let tail = old.iter().rev().zip(new.iter().rev()).take_while(|(old, new)| old == new).count();
    let (old, new) = (&old[..old.len() - tail], &new[..new.len() - tail]);
    // A line that is only other, and not more, is shown from where it differs.
    let at = match (old, new) {
        ([old], [new]) => old.chars().zip(new.chars()).take_while(|(old, new)| old == new).count(),
        _ => 0,
    };
    for (sign, texts) in [('-', old), ('+', new)] {
        texts.iter().for_each(|line| lines.push(|| format!("{sign} {path}: {}", cut(line, at))));
    }
}

/// The part of `text` around the character `at`.
fn cut(text: &str, at: usize) -> String {
    let from = if at > WIDTH / 2 { at - BEFORE } else { 0 };
    let part: String = text.chars().skip(from).take(WIDTH).collect();
    let is_cut = text.chars().nth(from + WIDTH).is_some();
    let (before, after) = (if from > 0 { "..." } else { "" }, if is_cut { "..." } else { "" });
    format!("{before}{}{after}", shown(&part))
}

/// `text` with everything that is not plainly seen by its number.
pub fn shown(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\'' | '"' | '\\' => shown.push(character),
            other => shown.extend(other.escape_debug()),
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn locked(tools: &[Value]) -> ServerLock {
        let tools = tools.iter().map(|tool| {
            let definition = tool.as_object().unwrap();
            (definition["name"].as_str().unwrap().to_owned(), LockedTool::of(definition))
        });
        ServerLock { server: String::new(), tools: tools.collect() }
    }

    fn told(old: Value, new: Value) -> String {
        let all = between(&locked(&[old]), &locked(&[new]));
        all.iter().map(Drift::to_string).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn what_is_the_same_is_no_drift() {
        let tool = json!({"name": "a", "description": "d", "inputSchema": {"type": "object"}});
        let one = locked(&[tool]);
        assert_eq!(between(&one, &one), []);
    }

    #[test]
    fn a_change_is_told_by_line_and_path() {
        let old = json!({"name": "a", "description": "Looks.\nAt things.\nEnd.",
            "inputSchema": {"type": "object", "properties": {"q": {"type": "string", "maxLength": 5}, "r": {}}, "required": ["q"]}});
        let new = json!({"name": "a", "description": "Looks.\nAt all things.\nEnd.",
            "inputSchema": {"type": "object", "properties": {"q": {"type": "string", "maxLength": 9}, "s": true}, "required": ["q", "s"]},
            "annotations": {"readOnlyHint": true}});
        assert_eq!(
            told(old, new),
            "a has changed since it was locked\n\
             \x20   - description: At things.\n\
             \x20   + description: At all things.\n\
             \x20   - inputSchema.properties.q.maxLength: 5\n\
             \x20   + inputSchema.properties.q.maxLength: 9\n\
             \x20   - inputSchema.properties.r: {}\n\
             \x20   + inputSchema.properties.s: true\n\
             \x20   - inputSchema.required: [\"q\"]\n\
             \x20   + inputSchema.required: [\"q\",\"s\"]\n\
             \x20   + annotations: {\"readOnlyHint\":true}"
        );
    }

    #[test]
    fn a_schema_that_came_is_told_by_its_members_where_it_is_long() {
        let what = "w".repeat(WIDTH);
        let new = json!({"name": "b", "inputSchema": {"properties": {"q": {"description": what}, "r": {"type": "string"}}}});
        let said = told(json!({"name": "b"}), new);
        assert_eq!(
            said,
            format!(
                "b has changed since it was locked\n\
                 \x20   + inputSchema.properties.q.description: \"{}...\n\
                 \x20   + inputSchema.properties.r: {{\"type\":\"string\"}}",
                "w".repeat(WIDTH - 1)
            )
        );
    }

    #[test]
    fn tools_come_and_go() {
        let (one, other) =
            (json!({"name": "a", "description": "d"}), json!({"name": "b", "description": "e"}));
        assert_eq!(
            told(one, other),
            "a is in the lock, and the server has it no more\nb is not in the lock\n    + description: \"e\""
        );
    }

    #[test]
    fn a_long_line_is_shown_where_it_differs_and_what_is_hidden_by_its_number() {
        let long = "x".repeat(500);
        let said = told(
            json!({"name": "a", "description": format!("{long}end{long}")}),
            json!({"name": "a", "description": format!("{long}\u{202e}\u{1b}[31m\u{e0041}end{long}")}),
        );
        assert!(
            said.contains("+ description: ...") && said.contains("\\u{202e}\\u{1b}[31m\\u{e0041}end"),
            "{said}"
        );
        assert!(said.lines().all(|line| line.chars().count() < 250), "{said}");
    }

    #[test]
    fn a_tool_that_is_all_new_does_not_fill_the_log() {
        let properties: Map<String, Value> = (0..100).map(|index| (format!("p{index}"), json!({}))).collect();
        let of = |properties: Value| json!({"name": "a", "inputSchema": {"properties": properties}});
        let said = told(of(json!({})), of(properties.into()));
        assert_eq!(said.lines().count(), 1 + MOST_LINES + 1);
        assert!(said.ends_with("... and 70 more"), "{said}");
    }

    #[test]
    fn a_difference_of_many_lines_is_counted_and_a_very_large_tool_is_not_compared() {
        let lines = |count: usize| (0..count).map(|line| format!("{line}\n")).collect::<String>();
        let said = told(json!({"name": "a"}), json!({"name": "a", "annotations": {"x": vec![lines(9); 9]}}));
        assert_eq!(said.lines().count(), 2, "{said}");
        let said =
            told(json!({"name": "a", "description": ""}), json!({"name": "a", "description": lines(500)}));
        assert!(said.lines().count() == 2 + MOST_LINES && said.ends_with("... and 470 more"), "{said}");
        let large = json!({"name": "a", "inputSchema": {"enum": vec![0; MOST_WEIGHT]}});
        let said = told(json!({"name": "a"}), large);
        assert!(said.ends_with("\n    ... it says too much to be compared"), "{said}");
    }

    #[test]
    fn a_long_name_is_cut_in_each_line_that_it_stands_in() {
        let members: Map<String, Value> = (0..100).map(|index| (index.to_string(), json!(index))).collect();
        let long = json!({ "k".repeat(500_000): members });
        let said = told(json!({"name": "a"}), json!({"name": "a", "inputSchema": long}));
        assert!(said.len() < 20_000, "{} bytes", said.len());
    }
}
