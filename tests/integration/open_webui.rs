//! Open WebUI's own code derives every tool from every document, and calls the right one.

use std::process::Command;

use serde_json::Value;

use super::documents::gateway_with_everything;
use crate::support::provisioned;

#[tokio::test]
async fn every_tool_is_derived_from_every_document() {
    let Some(python) = provisioned::python() else { return };
    let Some(code) = provisioned::open_webui() else { return };
    let folder = tempfile::tempdir().unwrap();
    let Some((_gateway, documents)) = gateway_with_everything(folder.path()).await else { return };
    let script = provisioned::root().join("tests/clients/open_webui.py");
    let mut faults = Vec::new();
    for path in &documents {
        let name = path.file_name().unwrap().to_string_lossy();
        let output = Command::new(&python).arg(&script).arg(&code).arg(path).output().unwrap();
        if !output.status.success() {
            let wrong = String::from_utf8_lossy(&output.stderr);
            faults.push(format!("{name}: {}", wrong.lines().last().unwrap_or_default()));
            continue;
        }
        let derived: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
        let document: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        let operations = document["paths"].as_object().unwrap();
        if derived.len() != operations.len() {
            faults.push(format!("{name}: {} of {} tools", derived.len(), operations.len()));
        }
        // A name that stands twice would be called at the first one's route.
        let routes: std::collections::BTreeSet<&str> =
            derived.iter().map(|tool| tool["path"].as_str().unwrap()).collect();
        if routes.len() != derived.len() {
            faults.push(format!("{name}: {} tools share {} routes", derived.len(), routes.len()));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[tokio::test]
async fn parameters_are_derived_with_their_names_and_requirements() {
    let Some(python) = provisioned::python() else { return };
    let Some(code) = provisioned::open_webui() else { return };
    let folder = tempfile::tempdir().unwrap();
    let Some((_gateway, documents)) = gateway_with_everything(folder.path()).await else { return };
    let script = provisioned::root().join("tests/clients/open_webui.py");
    let derive = |name: &str| -> Vec<Value> {
        let path = documents.iter().find(|path| path.ends_with(name)).unwrap();
        let output = Command::new(&python).arg(&script).arg(&code).arg(path).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let properties = |tools: &[Value], tool: &str| -> Vec<String> {
        let found = tools.iter().find(|found| found["name"] == tool).unwrap_or_else(|| panic!("no {tool}"));
        let names = found["properties"].as_array().unwrap();
        names.iter().map(|name| name.as_str().unwrap().to_owned()).collect()
    };
    let time = derive("time.openapi.json");
    assert_eq!(properties(&time, "tool_convert_time_post"), ["source_timezone", "target_timezone", "time"]);
    let basic = derive("s_basic.openapi.json");
    assert_eq!(properties(&basic, "tool_basic_post"), ["b", "c", "e", "f", "i", "n", "noType", "s", "t"]);
    let definitions = derive("s_definitions.openapi.json");
    assert_eq!(properties(&definitions, "tool_defs7_post"), ["p"]);
    let combined = derive("openapi.json");
    assert_eq!(properties(&combined, "time_convert_time"), ["source_timezone", "target_timezone", "time"]);
}
