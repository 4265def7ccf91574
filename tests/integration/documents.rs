//! The OpenAPI documents of every odd and every real server are valid, and are served as documents should be.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Map, Value, json};

use crate::support::{Gateway, provisioned, servers};

/// The groups of the quirk server, read from its source: every `G["name"] =` line.
pub fn quirk_groups() -> Vec<String> {
    let source = std::fs::read_to_string(servers::script("quirk_server.py")).unwrap();
    let names =
        source.lines().filter_map(|line| line.strip_prefix("G[\"")?.split('"').next().map(str::to_owned));
    let names: Vec<String> = names.collect();
    assert!(names.len() >= 39, "{names:?}");
    names
}

/// A gateway with all quirk groups, one paged server and the real servers; its documents are in the folder.
pub async fn gateway_with_everything(folder: &Path) -> Option<(Gateway, Vec<PathBuf>)> {
    let mut config: Map<String, Value> =
        quirk_groups().into_iter().map(|group| (group.clone(), servers::quirk(&[&group]))).collect();
    config.insert("paged".to_owned(), servers::quirk(&["pages", "many", "--paged"]));
    config.insert("time".to_owned(), provisioned::time()?);
    config.insert("everything".to_owned(), provisioned::node_entry("mcp-server-everything")?);
    config.insert("memory".to_owned(), provisioned::node_entry("mcp-server-memory")?);
    let names: Vec<String> = config.keys().cloned().collect();
    let gateway = Gateway::serving(Value::Object(config)).start().await;
    gateway.ready(&names.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let mut paths = Vec::new();
    for name in names.iter().map(|name| format!("/{name}/openapi.json")).chain(["/openapi.json".to_owned()]) {
        let path = folder.join(name.trim_start_matches('/').replace('/', "."));
        std::fs::write(&path, gateway.get(&name).await.body).unwrap();
        paths.push(path);
    }
    Some((gateway, paths))
}

#[tokio::test]
async fn every_document_is_valid_openapi() {
    let Some(python) = provisioned::python() else { return };
    let folder = tempfile::tempdir().unwrap();
    let Some((_gateway, documents)) = gateway_with_everything(folder.path()).await else { return };
    let script = provisioned::root().join("tests/openapi/check_documents.py");
    let output = Command::new(python).arg(script).args(&documents).output().unwrap();
    let (told, wrong) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{told}\n{wrong}");
}

#[tokio::test]
async fn the_combined_document_holds_every_tool_of_every_server() {
    let folder = tempfile::tempdir().unwrap();
    let Some((_gateway, documents)) = gateway_with_everything(folder.path()).await else { return };
    let read = |path: &PathBuf| -> Value { serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap() };
    let (combined, single) = documents.split_last().unwrap();
    let operations = |document: &Value| document["paths"].as_object().unwrap().len();
    let sum: usize = single.iter().map(|path| operations(&read(path))).sum();
    let combined = read(combined);
    assert_eq!(operations(&combined), sum);
    assert!(sum > 600, "{sum} tools");
    let mut ids: Vec<&str> = Vec::new();
    for path in combined["paths"].as_object().unwrap().values() {
        ids.push(path["post"]["operationId"].as_str().unwrap());
    }
    let fits = |id: &&str| {
        id.len() <= 64 && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
    };
    assert!(ids.iter().all(fits), "{:?}", ids.iter().find(|id| !fits(id)));
    ids.sort_unstable();
    let count = ids.len();
    ids.dedup();
    assert_eq!(ids.len(), count, "an id stands twice");
}

#[tokio::test]
async fn a_document_is_not_sent_again_to_who_has_it() {
    let gateway = Gateway::serving(json!({ "q": servers::quirk(&["behave"]) })).start().await;
    gateway.ready(&["q"]).await;
    for path in ["/openapi.json", "/q/openapi.json"] {
        let first = gateway.get(path).await;
        let tag = first.header("etag").unwrap_or_else(|| panic!("{path} has no ETag")).to_owned();
        let again = gateway.ask("GET", path).header("If-None-Match", &tag).send().await;
        assert_eq!((again.status, again.body.len()), (304, 0), "{path}");
        let other = gateway.ask("GET", path).header("If-None-Match", "\"other\"").send().await;
        assert_eq!((other.status, &other.body), (200, &first.body), "{path}");
    }
}
