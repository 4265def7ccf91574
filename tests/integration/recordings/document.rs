//! What of an OpenAPI document is compared: all that clients identify tools by. Schemas differ by design.

use serde_json::{Map, Value, json};

/// Info, servers, and per operation its id, texts, security and whether it takes a body.
pub fn projection(document: &Value) -> Value {
    let mut paths = Map::new();
    for (path, methods) in document["paths"].as_object().into_iter().flatten() {
        let mut operations = Map::new();
        for (method, operation) in methods.as_object().into_iter().flatten() {
            let mut kept = Map::new();
            for key in ["operationId", "summary", "description", "security"] {
                if let Some(value) = operation.get(key) {
                    kept.insert(key.to_owned(), value.clone());
                }
            }
            kept.insert("takesBody".to_owned(), json!(operation.get("requestBody").is_some()));
            operations.insert(method.clone(), Value::Object(kept));
        }
        paths.insert(path.clone(), Value::Object(operations));
    }
    json!({
        "openapi": document["openapi"],
        "info": document["info"],
        "servers": document["servers"],
        "securitySchemes": document["components"]["securitySchemes"],
        "paths": paths,
    })
}

/// What the paths of the combined document must be, given every server's own document: the same operations under
/// `/{server}`, with ids that name the server.
pub fn combined_paths<'a>(servers: impl IntoIterator<Item = (&'a str, &'a Value)>) -> Value {
    let mut combined = Map::new();
    for (name, document) in servers {
        for (path, methods) in document["paths"].as_object().into_iter().flatten() {
            let mut methods = methods.clone();
            for operation in methods.as_object_mut().into_iter().flatten().map(|(_, operation)| operation) {
                operation["operationId"] = json!({ "$like": format!("{name}_*"), "$atMost": 64 });
            }
            combined.insert(format!("/{name}{path}"), methods);
        }
    }
    Value::Object(combined)
}
