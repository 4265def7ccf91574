//! Tools as a server might define them, become documents and a checker; then any text as arguments.
//!
//! The input is JSON, one object or an array of them, then a zero byte and the arguments. An object with `name` is a
//! tool, any other an input schema.

#![no_main]

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use mcpo::catalog::CatalogServer;
use mcpo::catalog::arguments::ArgumentChecker;
use mcpo::catalog::openapi::section::SelectedTexts;
use mcpo::catalog::openapi::{
    CombinedDocument, ServerDocument, Writing, combined_document, mount_path, server_document,
};
use mcpo::config::{DocumentConfig, ServerConfig, ServerName, TransportConfig};
use mcpo::upstream::{Definition, ServerInfo};
use serde_json::{Map, Value, json};

fuzz_target!(|input: &[u8]| {
    let cut = input.iter().position(|byte| *byte == 0);
    let (definitions, arguments) = match cut {
        Some(cut) => (&input[..cut], &input[cut + 1..]),
        None => (input, &b"{}"[..]),
    };
    let Ok(definitions) = serde_json::from_slice::<Value>(definitions) else { return };
    let definitions: Vec<Definition> = match definitions {
        Value::Array(several) => several.into_iter().filter_map(definition).collect(),
        only => definition(only).into_iter().collect(),
    };
    let name = ServerName::new("fuzz").expect("the name is not reserved");
    let config = ServerConfig::new(name.clone(), TransportConfig::Gateway);
    let server = CatalogServer::of_gateway(&config, ServerInfo::default(), &definitions);
    let document = DocumentConfig::default();
    let mount = mount_path("/", &name);
    let mut writing = Writing::new(name.clone(), server.tools.clone(), Arc::default(), None);
    while !writing.write_until(Instant::now()) {}
    let sections = writing.finish();
    let head = ServerDocument {
        name: &name,
        info: server.info.as_ref(),
        mount: Some(&mount),
        secured: true,
        document: &document,
    };
    let one = server_document(&head, &sections.own(|_| true));
    let mut tools = SelectedTexts::default();
    sections.add_to(&mut tools, |_| true);
    let servers = [(&name, server.info.as_ref())];
    let head = CombinedDocument { servers: &servers, prefix: "/", secured: false, document: &document };
    for text in [one, combined_document(&head, &tools)] {
        let value = serde_json::from_slice(&text).expect("a document is JSON");
        is_whole(&value, &value);
    }
    for tool in &server.tools {
        if let Ok(accepted) = ArgumentChecker::compile(tool.input_schema()).check(Bytes::copy_from_slice(arguments)) {
            let read: Value = serde_json::from_slice(&accepted.arguments).expect("accepted arguments are JSON");
            assert!(read.is_object(), "accepted arguments are an object");
            assert!(!accepted.arguments.contains(&b'\n'), "a newline would end the message");
        }
    }
});

fn definition(value: Value) -> Option<Definition> {
    let Value::Object(members) = value else { return None };
    let is_tool = members.get("name").is_some_and(Value::is_string);
    if is_tool {
        return Some(Arc::new(members));
    }
    let mut tool = Map::new();
    tool.insert("name".to_owned(), json!("tool"));
    tool.insert("inputSchema".to_owned(), Value::Object(members));
    Some(Arc::new(tool))
}

/// Whatever a schema of the document refers to is in the document.
fn is_whole(value: &Value, document: &Value) {
    match value {
        Value::Array(elements) => elements.iter().for_each(|element| is_whole(element, document)),
        Value::Object(members) => {
            if let Some(Value::String(reference)) = members.get("$ref")
                && let Some(name) = reference.strip_prefix("#/components/schemas/")
            {
                let name = name.split('/').next().unwrap_or_default();
                assert!(
                    document["components"]["schemas"].get(name).is_some(),
                    "{reference} leads nowhere in {document}"
                );
            }
            // What stands under these is data, and may look like anything.
            let is_data = |key: &str| {
                key.starts_with("x-") || ["const", "enum", "default", "example", "examples"].contains(&key)
            };
            let schemas = members.iter().filter(|(key, _)| !is_data(key));
            schemas.for_each(|(_, member)| is_whole(member, document));
        }
        _ => {}
    }
}
