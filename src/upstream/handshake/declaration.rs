//! A server's declaration of itself in its answer to `initialize` or `server/discover`, read as far as it is valid: a
//! missing member or an odd type costs that member alone.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::protocol::meta::SERVER_INFO;
use crate::upstream::info::{Freshness, ServerInfo};

/// Members of `serverInfo` that are texts.
const TEXTS: [&str; 5] = ["name", "version", "title", "description", "websiteUrl"];
/// Members of a capability that are true or false.
const SWITCHES: [&str; 2] = ["listChanged", "subscribe"];

/// The readable part of such an answer.
#[derive(Debug, Default, PartialEq)]
pub struct Declaration {
    /// `protocolVersion`.
    pub revision: Option<String>,
    /// `supportedVersions`.
    pub revisions: Vec<String>,
    capabilities: Map<String, Value>,
    implementation: Map<String, Value>,
    instructions: Option<String>,
}

impl Declaration {
    /// Reads the JSON text of a result; `None` when it is not an object.
    pub fn read(result: &[u8]) -> Option<Self> {
        let mut result: Map<String, Value> = serde_json::from_slice(result).ok()?;
        let mut take = |name: &str| result.remove(name).unwrap_or_default();
        let revisions: Vec<Value> = read(take("supportedVersions")).unwrap_or_default();
        let implementation = match (take("serverInfo"), take("_meta")) {
            (info @ Value::Object(_), _) => info,
            (_, Value::Object(mut meta)) => meta.remove(SERVER_INFO).unwrap_or_default(),
            _ => Value::Null,
        };
        Some(Self {
            revision: read(take("protocolVersion")),
            revisions: revisions.into_iter().filter_map(read).collect(),
            capabilities: read(take("capabilities")).map(capabilities).unwrap_or_default(),
            implementation: read(implementation).map(implementation_of).unwrap_or_default(),
            instructions: read(take("instructions")).filter(|text: &String| !text.is_empty()),
        })
    }

    /// The info of a server that is spoken to in `revision`.
    pub fn info(self, revision: &str) -> ServerInfo {
        let text =
            |key: &str| self.implementation.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        ServerInfo {
            name: text("name"),
            version: text("version"),
            instructions: self.instructions,
            protocol: revision.to_owned(),
            capabilities: self.capabilities,
            implementation: self.implementation,
            transport: None,
            awaits_sign_in: false,
            freshness: Freshness::default(),
        }
    }
}

/// The value, where it is of the type that it has to be.
fn read<T: DeserializeOwned>(value: Value) -> Option<T> {
    serde_json::from_value(value).ok()
}

/// Each capability as the object that it has to be: `true` and an empty list, which some languages write for an empty
/// object, say that it is there; anything else says that it is not.
fn capabilities(declared: Map<String, Value>) -> Map<String, Value> {
    let read = declared.into_iter().filter_map(|(name, value)| match value {
        Value::Object(mut members) => {
            members.retain(|member, value| !SWITCHES.contains(&member.as_str()) || value.is_boolean());
            Some((name, Value::Object(members)))
        }
        Value::Bool(true) => Some((name, Value::Object(Map::new()))),
        Value::Array(members) if members.is_empty() => Some((name, Value::Object(Map::new()))),
        _ => None,
    });
    read.collect()
}

/// `serverInfo` with a name and a version. A number in place of a string is written as one.
fn implementation_of(said: Map<String, Value>) -> Map<String, Value> {
    let read = said.into_iter().filter_map(|(name, value)| match value {
        Value::Number(number) if TEXTS.contains(&name.as_str()) => Some((name, number.to_string().into())),
        Value::Null => None,
        value if TEXTS.contains(&name.as_str()) && !value.is_string() => None,
        value if name == "icons" && !value.is_array() => None,
        value => Some((name, value)),
    });
    let mut read: Map<String, Value> = read.collect();
    for needed in ["name", "version"] {
        read.entry(needed).or_insert_with(|| Value::from(""));
    }
    read
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn info(answer: &Value) -> ServerInfo {
        Declaration::read(answer.to_string().as_bytes()).unwrap().info("r")
    }

    #[test]
    fn what_is_as_it_should_be_is_kept_whole() {
        let (name, version) = ("s".to_owned(), "1".to_owned());
        let implementation = json!({ "name": "s", "version": "1", "title": "S", "icons": [{ "src": "x" }], "x-owner": [1, null] });
        let capabilities = json!({ "tools": { "listChanged": true, "x": 1 }, "x-vendor": { "kept": true } });
        let read = info(&json!({
            "protocolVersion": "r", "serverInfo": implementation, "capabilities": capabilities, "instructions": "use me",
        }));
        let whole = |value: Value| value.as_object().unwrap().clone();
        let expected = ServerInfo {
            name,
            version,
            instructions: Some("use me".to_owned()),
            protocol: "r".to_owned(),
            capabilities: whole(capabilities.clone()),
            implementation: whole(implementation.clone()),
            transport: None,
            awaits_sign_in: false,
            freshness: Freshness::default(),
        };
        assert_eq!(read, expected);
        let without_sessions = json!({
            "supportedVersions": ["r", 5, "s"], "_meta": { SERVER_INFO: implementation }, "capabilities": capabilities,
            "instructions": "use me",
        });
        assert_eq!(info(&without_sessions), expected);
        assert_eq!(Declaration::read(without_sessions.to_string().as_bytes()).unwrap().revisions, ["r", "s"]);
    }

    #[test]
    fn an_odd_member_costs_itself_alone() {
        let odd = json!({
            "protocolVersion": 1, "supportedVersions": {}, "instructions": ["use", "me"], "_meta": 5,
            "serverInfo": { "name": 5, "version": 1.0, "title": null, "websiteUrl": {}, "icons": "x", "x": { "y": 1 } },
            "capabilities": {
                "tools": true, "logging": [], "resources": { "listChanged": null, "subscribe": true, "z": 1 },
                "prompts": null, "completions": false, "tasks": [1], "experimental": "yes",
            },
        });
        let read = info(&odd);
        assert_eq!(
            Value::Object(read.implementation),
            json!({ "name": "5", "version": "1.0", "x": { "y": 1 } })
        );
        let capabilities = json!({ "tools": {}, "logging": {}, "resources": { "subscribe": true, "z": 1 } });
        assert_eq!((Value::Object(read.capabilities), read.instructions), (capabilities, None));
        assert_eq!((&*read.name, &*read.version), ("5", "1.0"));
    }

    #[test]
    fn a_server_may_say_nothing_of_itself_and_what_is_no_object_says_nothing_at_all() {
        for nothing in [
            json!({}),
            json!({ "serverInfo": null, "capabilities": null, "instructions": null }),
            json!({ "serverInfo": [], "capabilities": [], "instructions": "" }),
        ] {
            assert_eq!(info(&nothing), ServerInfo { protocol: "r".to_owned(), ..ServerInfo::default() });
        }
        assert_eq!(info(&json!({ "serverInfo": {} })).implementation.len(), 2, "clients need both");
        for text in ["null", "[]", "5", "\"x\"", "{\"a\":NaN}", "{", ""] {
            assert_eq!(Declaration::read(text.as_bytes()), None, "{text}");
        }
    }
}
