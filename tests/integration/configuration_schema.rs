//! `mcpo schema`: the JSON Schema of a configuration file accepts every configuration in the tree. Its agreement with the
//! gateway about wrong ones is tested beside the readers, by `src/config/schema/tests.rs`.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::support::provisioned::root;

fn printed() -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_mcpo")).arg("schema").env_clear().output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn validator() -> jsonschema::Validator {
    jsonschema::draft202012::new(&serde_json::from_str(&printed()).unwrap()).unwrap()
}

/// Every file below `folder` with one of these endings, but for what the tests provision.
fn files(folder: &Path, endings: &[&str], found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let (path, name) = (entry.path(), entry.file_name().into_string().unwrap());
        if entry.file_type().unwrap().is_dir() {
            if !matches!(name.as_str(), ".work" | ".git" | "target" | "node_modules") {
                files(&path, endings, found);
            }
        } else if endings.iter().any(|ending| name.ends_with(ending)) {
            found.push(path);
        }
    }
}

/// The configurations in `text`, which is a file of JSON or a README with blocks of it.
fn configurations(path: &Path, text: &str) -> Vec<Value> {
    let blocks: Vec<&str> = match path.extension().is_some_and(|ending| ending == "md") {
        true => text.split("```json\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect(),
        false => vec![text],
    };
    let parsed = blocks.into_iter().filter_map(|block| {
        jsonc_parser::parse_to_serde_value::<Value>(block, &jsonc_parser::ParseOptions::default()).ok()
    });
    let is_configuration = |value: &Value| ["mcpServers", "servers"].iter().any(|key| value[key].is_object());
    parsed.filter(is_configuration).collect()
}

#[test]
fn every_configuration_in_the_tree_is_accepted() {
    let validator = validator();
    let mut found = Vec::new();
    files(root(), &[".json", ".md"], &mut found);
    let mut accepted = Vec::new();
    for path in found {
        for configuration in configurations(&path, &std::fs::read_to_string(&path).unwrap()) {
            let errors: Vec<String> = validator
                .iter_errors(&configuration)
                .map(|error| format!("{}: {error}", error.instance_path()))
                .collect();
            assert!(errors.is_empty(), "{}: {errors:?}", path.display());
            accepted.push(path.strip_prefix(root()).unwrap().to_owned());
        }
    }
    let folders = ["README.md", "src/config", "tests/appliance", "tests/fuzz"];
    for folder in folders {
        assert!(accepted.iter().any(|path| path.starts_with(folder)), "{folder} has none: {accepted:?}");
    }
    assert!(accepted.len() >= 9, "{accepted:?}");
}

#[test]
fn what_mcpo_was_seen_to_accept_is_accepted() {
    let validator = validator();
    let recording: Value =
        serde_json::from_str(include_str!("../oracle/recordings/config-validation.json")).unwrap();
    let cases = recording["cases"].as_array().unwrap();
    let accepted = cases.iter().filter(|case| case["ready"] == true && case.get("config").is_some());
    assert!(accepted.clone().count() > 5);
    for case in accepted {
        assert!(validator.is_valid(&case["config"]), "{case}");
    }
}
