//! The table of servers and tools, for people.

use serde_json::Value;

use super::super::output::{counted, on_one_line};
use super::listing::{ShownServer, ShownTool};
use super::signature::signature;

/// Longer names get a line of their own.
const LONGEST_NAME: usize = 28;
/// A first sentence is cut off behind this many characters.
const LONGEST_SENTENCE: usize = 240;

/// A heading for each server, and below it each tool with its arguments. The first sentence of its description follows.
/// Lines are wrapped to `width` columns, when there are any.
pub fn table(servers: &[ShownServer], width: Option<usize>) -> String {
    if servers.is_empty() {
        return "no servers\n".to_owned();
    }
    let blocks: Vec<String> = servers.iter().map(|server| block(server, width)).collect();
    blocks.join("\n")
}

fn block(server: &ShownServer, width: Option<usize>) -> String {
    let mut facts = vec![server.state.state().to_owned()];
    facts.extend(server.state.text("version").map(|version| format!("version {version}")));
    let count = server.tools.len();
    if count > 0 || server.state.is_ready() {
        facts.push(counted(count, "tool"));
    }
    let mut text = on_one_line(&format!("{}: {}", server.state.name, facts.join(", ")));
    text.push('\n');
    let names: Vec<String> = server.tools.iter().map(|tool| on_one_line(&tool.name)).collect();
    let lengths = names.iter().map(|name| name.chars().count());
    let column = lengths.filter(|length| *length <= LONGEST_NAME).max().unwrap_or(8);
    for (name, tool) in names.iter().zip(&server.tools) {
        let indent = column + 4;
        let room = width.map(|width| width.saturating_sub(indent).max(20));
        let mut lines = Vec::new();
        let arguments = signature(tool.definition.get("inputSchema").unwrap_or(&Value::Null)).join(",\n");
        wrap(arguments.split('\n'), room, &mut lines);
        wrap(description(tool).split(' '), room, &mut lines);
        let mut lines = lines.into_iter();
        let first = if name.chars().count() > column { None } else { lines.next() };
        text.push_str(format!("  {name:column$}  {}", first.unwrap_or_default()).trim_end());
        text.push('\n');
        for line in lines {
            text.push_str(&format!("{:indent$}{line}\n", ""));
        }
    }
    text
}

fn description(tool: &ShownTool) -> String {
    let text = tool.definition.get("description").and_then(Value::as_str).unwrap_or_default();
    let mark = if tool.is_read_only() { " (read-only)" } else { "" };
    format!("{}{mark}", first_sentence(text)).trim_start().to_owned()
}

/// The first sentence of the first paragraph.
fn first_sentence(text: &str) -> String {
    let paragraph = text.trim().split("\n\n").next().unwrap_or_default();
    let text = on_one_line(paragraph);
    let end = text.char_indices().find(|(at, character)| {
        let rest = &text[at + character.len_utf8()..];
        match character {
            // `e.g. this` goes on, and so does `1.5`.
            '.' | '!' | '?' => {
                let next = rest.strip_prefix(' ').map(|rest| rest.chars().next());
                next.is_some_and(|next| next.is_none_or(|next| !next.is_lowercase()))
            }
            '。' => true,
            _ => false,
        }
    });
    let sentence = end.map_or(&*text, |(at, character)| &text[..at + character.len_utf8()]);
    match sentence.char_indices().nth(LONGEST_SENTENCE) {
        Some((end, _)) => format!("{}...", sentence[..end].trim_end()),
        None => sentence.to_owned(),
    }
}

/// Adds `pieces` to `lines`, with blanks between them, so that none is longer than `room` where that can be had.
fn wrap<'a>(pieces: impl Iterator<Item = &'a str>, room: Option<usize>, lines: &mut Vec<String>) {
    let mut line = String::new();
    for piece in pieces {
        let needed = line.chars().count() + 1 + piece.chars().count();
        if !line.is_empty() && room.is_some_and(|room| needed > room) {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(piece);
    }
    if !line.is_empty() {
        lines.push(line);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cli::server_list::ServerState;

    fn server() -> ShownServer {
        let tool = |definition: Value| {
            let definition = definition.as_object().unwrap().clone();
            ShownTool { name: definition["name"].as_str().unwrap().to_owned(), definition }
        };
        let entry = json!({ "name": "time", "state": "ready", "version": "1.2" });
        let schema =
            json!({ "properties": { "timezone": { "type": "string" }, "n": {} }, "required": ["timezone"] });
        ShownServer {
            state: ServerState { name: "time".to_owned(), entry: entry.as_object().unwrap().clone() },
            tools: vec![
                tool(json!({
                    "name": "now", "inputSchema": schema, "annotations": { "readOnlyHint": true },
                    "description": "Gives the current time, e.g. in UTC or another time zone. Not more.",
                })),
                tool(json!({ "name": "a_name_that_is_longer_than_all_others", "inputSchema": schema })),
                tool(json!({ "name": "bare" })),
            ],
        }
    }

    #[test]
    fn a_terminal_gets_wrapped_lines_and_a_pipe_whole_ones() {
        insta::assert_snapshot!(table(&[server()], Some(44)), @r###"
        time: ready, version 1.2, 3 tools
          now   timezone: string, [n: any]
                Gives the current time, e.g. in UTC
                or another time zone. (read-only)
          a_name_that_is_longer_than_all_others
                timezone: string, [n: any]
          bare
        "###);
        insta::assert_snapshot!(table(&[server()], None), @r###"
        time: ready, version 1.2, 3 tools
          now   timezone: string, [n: any]
                Gives the current time, e.g. in UTC or another time zone. (read-only)
          a_name_that_is_longer_than_all_others
                timezone: string, [n: any]
          bare
        "###);
        assert_eq!(table(&[], None), "no servers\n");
    }

    #[test]
    fn the_first_sentence_is_told_from_an_abbreviation() {
        for (text, sentence) in [
            ("", ""),
            ("One. Two.", "One."),
            ("Takes 1.5 s, e.g. here. Then", "Takes 1.5 s, e.g. here."),
            ("No end\nof line\n\nNext", "No end of line"),
            ("Only one.", "Only one."),
            ("日本語。次", "日本語。"),
        ] {
            assert_eq!(first_sentence(text), sentence);
        }
        assert!(first_sentence(&"x ".repeat(500)).ends_with("..."));
    }
}
