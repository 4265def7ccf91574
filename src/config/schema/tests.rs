use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use jsonschema::Validator;

use super::super::json_tree::{JsonNode, JsonValue, parse};
use super::super::problem::{Problem, Problems, Severity};
use super::super::sources::Purpose;
use super::*;

static VALIDATOR: LazyLock<Validator> = LazyLock::new(|| jsonschema::draft202012::new(&schema()).unwrap());

/// Parts of messages about faults that a schema of one file cannot see, and why.
const UNSEEN: &[(&str, &str)] = &[
    ("no `mcpServers` found", "another file may have them"),
    ("cannot be read", "outside the file"),
    ("the JSON is broken", "not JSON"),
    ("the file is empty", "not JSON"),
    ("is missing beside this", "across keys, and the other one may be a variable or a flag"),
    ("are the same key", "across keys"),
    ("is the name of the key given by `apiKey`", "across keys"),
    ("would hand it this key", "across keys"),
    ("there is no profile", "across keys"),
    ("is the new name of", "across keys"),
    ("a fixed `Authorization` beside `oauth`", "across keys"),
    ("needs a `clientId`, and a `clientSecret`", "across keys"),
    ("says nothing without its `clientId`", "across keys"),
    ("needs an `assertion`", "across keys"),
    ("is for the grant", "across keys"),
    ("both stand here", "across keys"),
    ("no clock can count this rate", "across keys"),
    ("is no pattern over", "globs are parsed"),
];

fn value(node: &JsonNode) -> Value {
    match &node.value {
        JsonValue::Null => Value::Null,
        JsonValue::Boolean(value) => Value::from(*value),
        JsonValue::Number(number) => serde_json::from_str(number).unwrap(),
        JsonValue::Text(text) => Value::from(text.as_str()),
        JsonValue::List(elements) => elements.iter().map(value).collect(),
        JsonValue::Object(members) => {
            let members = members.iter().map(|member| (member.name.clone(), value(&member.value)));
            Value::Object(members.collect())
        }
    }
}

/// Holds the schema's verdict on a file of `text` against that of the gateway, which found `problems`. The tests of the
/// readers send every file through here.
pub fn agrees(text: &str, problems: &[Problem]) {
    let Some(root) = parse(Path::new("a.json"), text, &mut Problems::new(Purpose::Serve)) else { return };
    let errors = problems.iter().filter(|problem| problem.severity == Severity::Error);
    let seen: Vec<&Problem> =
        errors.filter(|problem| !UNSEEN.iter().any(|(part, _)| problem.message.contains(part))).collect();
    let found: Vec<String> = VALIDATOR
        .iter_errors(&value(&root))
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert_eq!(found.is_empty(), seen.is_empty(), "{text}\nthe gateway: {seen:?}\nthe schema: {found:?}");
}

#[test]
fn the_schema_is_one_and_describes_every_key() {
    let schema = schema();
    assert!(jsonschema::meta::is_valid(&schema));
    let described = |properties: &Value| {
        properties.as_object().unwrap().iter().filter(|(_, key)| key["description"].is_string()).count()
    };
    let all = |pointer: &str| schema.pointer(pointer).unwrap();
    for pointer in ["/properties", "/properties/limits/properties", "/$defs/server/properties"] {
        let keys = all(pointer);
        assert_eq!(described(keys), keys.as_object().unwrap().len(), "{pointer}");
    }
    let drain = all("/properties/limits/properties/drain");
    assert_eq!(drain["default"], 20);
    assert_eq!(drain["x-environment"], "MCPO_LIMITS_DRAIN");
    assert_eq!(drain["x-reload"], "at-once");
    assert_eq!(all("/properties/port")["type"], json!(["integer", "null"]));
}

#[test]
fn the_place_of_the_schema_in_a_file_is_no_unknown_key() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.json");
    let text = r#"{"$schema": "./mcpo.schema.json", "mcpServers": {"a": {"command": "x"}}}"#;
    std::fs::write(&path, text).unwrap();
    let sources = crate::config::Sources { purpose: Purpose::Check, files: vec![path], ..Default::default() };
    assert_eq!(crate::config::load(&sources).unwrap().warnings, []);
    agrees(text, &[]);
    agrees(r#"{"mcpServers": null, "port": null, "limits": null, "apiKeys": null}"#, &[]);
}

/// A file of this room, and its text.
fn beside(name: &str) -> (PathBuf, String) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/config").join(name);
    let text = std::fs::read_to_string(&path).unwrap_or_default();
    (path, text)
}

/// Holds the text of a generated file against what it is to be; `MCPO_TESTS_WRITE=1` writes the file.
fn recorded(path: &Path, text: &str, wanted: &str) {
    if std::env::var_os("MCPO_TESTS_WRITE").is_some() {
        std::fs::write(path, wanted).unwrap();
    }
    assert!(
        text == wanted,
        "{} is not as the table of keys has it: write it with MCPO_TESTS_WRITE=1",
        path.display()
    );
}

#[test]
fn the_recorded_schema_is_the_printed_one() {
    let (path, text) = beside("mcpo.schema.json");
    recorded(&path, &text, &format!("{:#}\n", schema()));
}

/// The tables of `src/config/README.md`, and where their keys are in the schema.
const TABLES: [(&str, &str); 5] = [
    ("the gateway", "/properties"),
    ("a server", "/$defs/server/properties"),
    ("`oauth`", "/$defs/server/properties/oauth/anyOf/1/properties"),
    ("an API key", "/properties/apiKeys/additionalProperties/anyOf/1/properties"),
    ("a profile", "/properties/profiles/additionalProperties/properties"),
];

/// A row for each key that is no other spelling of one.
fn rows(prefix: &str, properties: &Value) -> String {
    let mut text = String::new();
    for (name, key) in properties.as_object().unwrap() {
        let Some(reload) = key["x-reload"].as_str() else {
            if key["properties"].is_object() {
                text.push_str(&rows(&format!("{name}."), &key["properties"]));
            }
            continue;
        };
        if key.get("x-spelling-of").is_some() {
            continue;
        }
        let default = key.get("default").map(|default| format!("`{default}`")).unwrap_or_default();
        let unstable = if key["x-unstable"] == true { " *" } else { "" };
        let (reload, doc) = (reload.replace('-', " "), key["description"].as_str().unwrap());
        text.push_str(&format!("| `{prefix}{name}`{unstable} | {default} | {reload} | {doc} |\n"));
    }
    text
}

#[test]
fn the_readme_has_every_key() {
    let (path, readme) = beside("README.md");
    let schema = schema();
    let mut wanted = readme.clone();
    for (name, pointer) in TABLES {
        let (start, end) = (format!("<!-- keys of {name} -->\n"), "<!-- end -->");
        let from = wanted.find(&start).unwrap_or_else(|| panic!("no table for {name}")) + start.len();
        let to = from + wanted[from..].find(end).unwrap();
        let keys = rows("", schema.pointer(pointer).unwrap());
        let table = format!("| key | default | a change counts | meaning |\n|---|---|---|---|\n{keys}");
        wanted.replace_range(from..to, &table);
    }
    recorded(&path, &readme, &wanted);
}
