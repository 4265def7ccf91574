//! Extensions of the protocol (`capabilities.extensions`), which clients and servers declare to each other through the gateway.

use serde_json::{Map, Value};

use crate::catalog::CatalogServer;

/// The capability that declares extensions.
pub const EXTENSIONS: &str = "extensions";
/// This extension turns results of calls into handles, for methods that the gateway does not carry.
const NOT_CARRIED: &str = "io.modelcontextprotocol/tasks";

/// The extensions among `declared` that the gateway carries; `None` when it carries none.
pub fn carried(declared: Option<&Value>) -> Option<Map<String, Value>> {
    let mut carried = declared?.as_object()?.clone();
    carried.retain(|name, settings| name != NOT_CARRIED && settings.is_object());
    (!carried.is_empty()).then_some(carried)
}

/// The extensions that any of `servers` declares. Of settings that differ the first ones count.
pub fn of_all<'a>(servers: impl Iterator<Item = &'a CatalogServer>) -> Option<Map<String, Value>> {
    let infos = servers.filter_map(|server| server.info.as_ref());
    let declared = infos.filter_map(|info| carried(info.capabilities.get(EXTENSIONS)));
    declared.reduce(|mut all, more| {
        for (name, settings) in more {
            match (all.get_mut(&name), settings) {
                (Some(Value::Object(known)), Value::Object(settings)) => {
                    for (key, value) in settings {
                        known.entry(key).or_insert(value);
                    }
                }
                (_, settings) => drop(all.insert(name, settings)),
            }
        }
        all
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_no_extension_or_not_carried_does_not_cross() {
        let declared = json!({
            "io.modelcontextprotocol/ui": {"mimeTypes": ["text/html;profile=mcp-app"]},
            "io.modelcontextprotocol/tasks": {},
            "example.com/x": true,
        });
        let crossing = json!({"io.modelcontextprotocol/ui": {"mimeTypes": ["text/html;profile=mcp-app"]}});
        assert_eq!(carried(Some(&declared)).map(Value::Object), Some(crossing));
        for none in [json!({}), json!({"io.modelcontextprotocol/tasks": {}}), json!(null), json!([])] {
            assert_eq!(carried(Some(&none)), None);
        }
    }
}
