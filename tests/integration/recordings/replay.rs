//! Replays a recording against a gateway with the recorded configuration.

use serde_json::{Value, json};

use super::compare::Observed;
use super::deviation::{Subject, Table};
use super::document::{combined_paths, projection};
use crate::support::gateway::original;
use crate::support::{Answer, Gateway, provisioned, servers};

/// Sends every recorded request of the file and compares every answer.
pub async fn replay(file: &str) {
    let recording = read(file);
    let Some(config) = runnable(&recording["config"]) else { return };
    let gateway = start(config.clone(), &recording).await;
    let combined = combined_document_paths(&gateway, &config).await;
    let mut table = Table::read();
    let mut faults = Vec::new();
    for pair in recording["pairs"].as_array().unwrap() {
        let label = pair["label"].as_str().unwrap();
        let request = &pair["request"];
        let path = request["path"].as_str().unwrap();
        let is_document = path.ends_with("openapi.json") && request["method"] == "GET";
        let recorded = Observed::recorded(&pair["mcpo"], is_document);
        if original().is_some() && recorded.status == 0 {
            continue;
        }
        let subject = Subject { file, label, path, request: request.get("json") };
        let mut wanted = wanted(&mut table, &subject, &recorded);
        if wanted.body.pointer("/paths/$servers").is_some() {
            wanted.body["paths"].clone_from(&combined);
        }
        let observed = Observed::of(&send(&gateway, request).await, is_document);
        let differences = observed.differences(&wanted);
        faults.extend(
            differences.into_iter().map(|difference| format!("{file} {label} ({path}): {difference}")),
        );
    }
    if original().is_none() {
        faults.extend(table.faults(file));
    }
    assert!(faults.is_empty(), "{} differences:\n{}", faults.len(), faults.join("\n"));
}

/// Compares the recorded documents of the servers in `file`.
pub async fn documents(file: &str) {
    let recording = read(file);
    let Some(config) = runnable(&recording["config"]) else { return };
    let gateway = start(config.clone(), &recording).await;
    let combined = combined_document_paths(&gateway, &config).await;
    let mut faults = Vec::new();
    for (name, path) in [
        ("time", "/time/openapi.json"),
        ("everything", "/everything/openapi.json"),
        ("root", "/openapi.json"),
    ] {
        let file = format!("openapi-{name}.json");
        let recorded =
            json!({ "status": 200, "json": read(&file), "headers": { "content-type": "application/json" } });
        let recorded = Observed::recorded(&recorded, true);
        let mut table = Table::read();
        let subject = Subject { file: &file, label: "document", path, request: None };
        let mut wanted = wanted(&mut table, &subject, &recorded);
        if wanted.body.pointer("/paths/$servers").is_some() {
            wanted.body["paths"].clone_from(&combined);
        }
        let differences = Observed::of(&gateway.get(path).await, true).differences(&wanted);
        faults.extend(differences.into_iter().map(|difference| format!("{path}: {difference}")));
        if original().is_none() {
            faults.extend(table.faults(&file));
        }
    }
    assert!(faults.is_empty(), "{} differences:\n{}", faults.len(), faults.join("\n"));
}

/// What is wanted: the recording with the table's deviations; of the original, the recording.
fn wanted(table: &mut Table, subject: &Subject<'_>, recorded: &Observed) -> Observed {
    if original().is_some() { recorded.clone() } else { table.wanted(subject, recorded) }
}

fn read(file: &str) -> Value {
    let path = provisioned::root().join("tests/oracle/recordings").join(file);
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

async fn start(config: Value, recording: &Value) -> Gateway {
    let names: Vec<String> = config["mcpServers"].as_object().unwrap().keys().cloned().collect();
    let mut setup = Gateway::with(config);
    let mut flags = recording["flags"].as_array().into_iter().flatten().map(|flag| flag.as_str().unwrap());
    while let Some(flag) = flags.next() {
        setup = match flag {
            "--strict-auth" => setup.switch(flag),
            _ => setup.flag(flag, flags.next().unwrap()),
        };
    }
    let gateway = setup.start().await;
    gateway.ready(&names.iter().map(String::as_str).collect::<Vec<_>>()).await;
    gateway
}

/// The recorded configuration with commands that exist here; `None` when one is to be skipped.
fn runnable(config: &Value) -> Option<Value> {
    let mut config = config.clone();
    for server in config["mcpServers"].as_object_mut().unwrap().values_mut() {
        *server = match server["command"].as_str().unwrap() {
            "python3" => servers::quirk(&[server["args"][1].as_str().unwrap()]),
            "mcp-server-time" => provisioned::time()?,
            // It takes a relative path as relative to its own package.
            "mcp-server-memory" => {
                let memory =
                    std::env::temp_dir().join(format!("mcpo-recordings-{}.json", std::process::id()));
                json!({ "command": provisioned::node("mcp-server-memory")?, "env": { "MEMORY_FILE_PATH": memory } })
            }
            command => provisioned::node_entry(command)?,
        };
    }
    Some(config)
}

/// The paths that the combined document must have, from the servers' own documents.
async fn combined_document_paths(gateway: &Gateway, config: &Value) -> Value {
    let mut documents = Vec::new();
    for name in config["mcpServers"].as_object().unwrap().keys() {
        let document = gateway.get(&format!("/{name}/openapi.json")).await.ok();
        documents.push((name.as_str(), projection(&document)));
    }
    combined_paths(documents.iter().map(|(name, document)| (*name, document)))
}

async fn send(gateway: &Gateway, request: &Value) -> Answer {
    let mut ask = gateway.ask(request["method"].as_str().unwrap(), request["path"].as_str().unwrap());
    for (name, value) in request["headers"].as_object().unwrap() {
        ask = ask.header(name, value.as_str().unwrap());
    }
    if let Some(body) = request.get("raw_body") {
        ask = ask.body(body.as_str().unwrap().to_owned());
    } else if let Some(body) = request.get("json") {
        ask = ask.body(body.to_string());
    }
    ask.send().await
}
