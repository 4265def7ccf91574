use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use jsonschema::Validator;

use super::super::json_tree::{JsonNode, JsonValue, parse};
use super::super::problem::{ConfigProblem, Problems, Severity};
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
    ("no token could be told to be for this gateway", "across keys"),
    ("stand for one client", "across keys"),
    ("would be read without TLS", "addresses are parsed"),
    ("is named twice", "across elements"),
    ("is the new name of", "across keys"),
    ("a fixed `Authorization` beside `oauth`", "across keys"),
    ("needs a `clientId`, and a `clientSecret`", "across keys"),
    ("says nothing without its `clientId`", "across keys"),
    ("needs an `assertion`", "across keys"),
    ("is for the grant", "across keys"),
    ("both stand here", "across keys"),
    ("is the same to the server for all users", "across keys"),
    ("belong together", "across keys"),
    ("exchanges either the token of each caller", "across keys"),
    ("this grant needs a `clientId`", "across keys"),
    ("no clock can count this rate", "across keys"),
    ("`${caller}`", "across keys"),
    ("is no pattern over", "globs are parsed"),
    ("this list of addresses is empty", "across elements"),
    ("do not all begin alike", "across elements"),
    ("are for one address", "across keys"),
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

/// The errors of the schema in a file of `text`; `None` when the text is not JSON.
fn errors(text: &str) -> Option<Vec<String>> {
    let root = parse(Path::new("a.json"), text, &mut Problems::new(Purpose::Serve))?;
    let value = value(&root);
    Some(VALIDATOR.iter_errors(&value).map(|error| format!("{}: {error}", error.instance_path())).collect())
}

/// Holds the schema's verdict on a file of `text` against that of the gateway, which found `problems`. The tests of the
/// readers send every file through here.
pub(in crate::config) fn agrees(text: &str, problems: &[ConfigProblem]) {
    let Some(found) = self::errors(text) else { return };
    let errors = problems.iter().filter(|problem| problem.severity == Severity::Error);
    let seen: Vec<&ConfigProblem> =
        errors.filter(|problem| !UNSEEN.iter().any(|(part, _)| problem.message.contains(part))).collect();
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
const TABLES: [(&str, &str); 7] = [
    ("the gateway", "/properties"),
    ("a server", "/$defs/server/properties"),
    ("`oauth`", "/$defs/server/properties/oauth/anyOf/1/properties"),
    ("an API key", "/properties/apiKeys/additionalProperties/anyOf/1/properties"),
    ("an issuer", "/properties/signIn/properties/issuers/items/properties"),
    ("a user", "/properties/signIn/properties/issuers/items/properties/users/items/properties"),
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
        let (start, end) = (format!("<!-- settings of {name} -->\n"), "<!-- end -->");
        let from = wanted.find(&start).unwrap_or_else(|| panic!("no table for {name}")) + start.len();
        let to = from + wanted[from..].find(end).unwrap();
        let keys = rows("", schema.pointer(pointer).unwrap());
        let table = format!("| setting | default | a change counts | meaning |\n|---|---|---|---|\n{keys}");
        wanted.replace_range(from..to, &table);
    }
    recorded(&path, &readme, &wanted);
}

/// Values that some keys take and others refuse. A `null` in a list is missing: in `corsAllowOrigins` the gateway takes it
/// for an empty text, with a warning, and the schema refuses it.
const VALUES: &[&str] = &[
    "null",
    "true",
    "0",
    "1",
    "1.5",
    "-1",
    "65535",
    "65536",
    "1e300",
    "40",
    r#""""#,
    r#"" ""#,
    r#""a""#,
    r#""a b""#,
    r#""/a b""#,
    r#""/a?""#,
    r#""http://h/mcp""#,
    r#""HTTP://h""#,
    r#""ftp://h""#,
    r#""http://h/${env:A}""#,
    r#""${A}""#,
    r#""$${A}""#,
    r#""$$${env:A} $""#,
    r#""${env:A=B}""#,
    r#""${file:a""#,
    r#""unix:x""#,
    r#""unix:/x""#,
    r#""[::1]""#,
    r#""60/min""#,
    r#"" 5 / s ""#,
    r#""0/s""#,
    r#""1/year""#,
    r#""quarantine""#,
    r#""json""#,
    r#""2025-06-18""#,
    r#""StreamableHTTP""#,
    "[]",
    r#"["a"]"#,
    r#"["a b"]"#,
    r#"["${A}"]"#,
    "[1]",
    r#"["MCPO_A"]"#,
    "{}",
    r#"{"a": "b"}"#,
    r#"{"a": 1}"#,
    r#"{"A=B": "c"}"#,
    r#"{"a b": "c"}"#,
    r#"{"a": "b\nc"}"#,
    r#"{"a": null}"#,
    r#"{"a": {"name": ""}}"#,
    r#"{"a": {"name": "b"}}"#,
    r#"{"a": {"key": "x", "servers": ["b"]}}"#,
    r#"{"a": {"key": null}}"#,
    r#"{"calls": 1, "per": 0.5}"#,
    r#"{"calls": 1}"#,
    r#"{"enabled": 1}"#,
    r#"{"enabled": true, "whitelist": ["X-*"]}"#,
    r#"{"whitelist": ["X :"]}"#,
    r#"{"scopes": ["a b"]}"#,
    r#"{"issuer": "http://h"}"#,
    r#"{"grant": "jwt"}"#,
];

#[test]
fn whatever_the_gateway_accepts_the_schema_accepts() {
    const REMOTE: &[&str] = &["url", "headers"];
    const CHILD: &[&str] = &["command", "args", "env", "envFile", "passEnv", "cwd"];
    // A key that this kind of server does not use may have any value for the gateway, and none for the schema.
    let bases: [(&str, &[&[&str]]); 4] = [
        (r#""command": "x""#, &[REMOTE, &["socket"]]),
        (r#""url": "http://h""#, &[CHILD, &["socket"]]),
        (r#""type": "sse", "url": "http://h""#, &[CHILD, &["socket"]]),
        (r#""socket": "/s""#, &[CHILD, REMOTE]),
    ];
    let settings = keys::settings();
    let mut state = 0x2545_F491_4F6C_DD1D_u64;
    let mut below = |bound: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % bound as u64).unwrap()
    };
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.json");
    let mut accepted = 0;
    let mut refused = Vec::new();
    for round in 0..2_000 {
        let (base, unused) = bases[below(bases.len())];
        let member = |name: &str, value: usize| format!(r#""{name}": {}"#, VALUES[value]);
        let (key, _) = &ENTRY[below(ENTRY.len())];
        let in_entry =
            match unused.concat().contains(&key.name) || base.contains(&format!("\"{}\"", key.name)) {
                true => String::new(),
                false => format!(", {}", member(key.name, below(VALUES.len()))),
            };
        let setting = match below(settings.len() + 2) {
            0 => member("apiKeys", below(VALUES.len())),
            1 => member("profiles", below(VALUES.len())),
            index => match settings[index - 2].parts() {
                (None, name) => member(name, below(VALUES.len())),
                (Some(group), name) => format!(r#""{group}": {{{}}}"#, member(name, below(VALUES.len()))),
            },
        };
        // One of the two at a time: a file with two odd values is rarely accepted.
        let (in_entry, setting) = match round % 2 {
            0 => (in_entry, r#""name": "n""#.to_owned()),
            _ => (String::new(), setting),
        };
        let text = format!(r#"{{"mcpServers": {{"a": {{{base}{in_entry}}}}}, {setting}}}"#);
        std::fs::write(&path, &text).unwrap();
        let sources = crate::config::Sources { files: vec![path.clone()], ..Default::default() };
        if crate::config::load(&sources).is_ok() {
            accepted += 1;
            if let Some(errors) = errors(&text).filter(|errors| !errors.is_empty()) {
                refused.push(format!("{text}: {errors:?}"));
            }
        }
    }
    assert!(refused.is_empty(), "{}", refused.join("\n"));
    assert!((100..1_900).contains(&accepted), "{accepted} were accepted");
}
