//! How a client learns what it talks to: `initialize` opens a session, `server/discover` does without.

use std::borrow::Cow;

use axum::response::Response;
use bytes::Bytes;
use http::HeaderValue;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::Mcp;
use super::all::has_capability;
use super::answer::{self, Fault};
use super::client::{LARGEST_CAPABILITIES, too_large_capabilities};
use super::extensions::{self, EXTENSIONS};
use super::message::Message;
use super::methods::Asked;
use super::place::Place;
use super::sessions::{Holder, SessionBounds};
use crate::catalog::definition::{Defined, mended};
use crate::catalog::{CatalogServer, ServerInfo};
use crate::protocol::header::SESSION_ID;
use crate::protocol::meta::SERVER_INFO;
use crate::protocol::revision::{STATELESS, WITH_SESSIONS};

/// Capabilities of a server that its own endpoint passes on as they are; that of all servers has each that one of them
/// has.
const PASSED_ON: [&str; 4] = ["resources", "prompts", "completions", "logging"];
/// What the endpoint of all servers tells when one of them does.
const TOLD: [(&str, &str); 3] =
    [("resources", "subscribe"), ("resources", "listChanged"), ("prompts", "listChanged")];

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Initialize<'a> {
    #[serde(default)]
    protocol_version: String,
    #[serde(borrow)]
    capabilities: Option<&'a RawValue>,
}

/// What an endpoint says of itself.
struct Portrait {
    capabilities: Value,
    implementation: Value,
    instructions: Option<String>,
}

impl Mcp {
    /// Opens a session, which counts under the rate of its key. A revision that is not spoken is answered with the latest
    /// one that is.
    pub(super) async fn initialize(&self, asked: &Asked<'_>, message: &Message<'_>) -> Response {
        let Message::Request { id, params, .. } = message else {
            return Fault::invalid_request("`initialize` is a request").response(None);
        };
        let Ok(wanted) = serde_json::from_str::<Initialize<'_>>(params) else {
            return Fault::invalid_params("`protocolVersion` must be a text").response(Some(id));
        };
        if wanted.capabilities.is_some_and(|declared| declared.get().len() > LARGEST_CAPABILITIES) {
            return too_large_capabilities().response(Some(id));
        }
        let revision = WITH_SESSIONS
            .into_iter()
            .find(|revision| *revision == wanted.protocol_version)
            .unwrap_or(WITH_SESSIONS[0]);
        // A session is as much as a call: it is counted, and may be followed by a process of its own.
        let _turn = match self.gateway.admit(asked.caller) {
            Ok(turn) => turn,
            Err(limited) => return Fault::limited(&limited).response(Some(id)),
        };
        let portrait = self.portrait(asked).await;
        let (shares, idle) = (self.shares.sessions(), self.config.limits.session_idle);
        let opened = self.shared.sessions.open(
            Holder::of(asked.caller, asked.place),
            SessionBounds { shares, idle },
            wanted.capabilities,
            revision,
        );
        let session = match opened {
            Ok(session) => session,
            Err(error) => {
                tracing::error!(%error, "no session can be opened: the kernel gives no random numbers");
                return Fault::internal("no session can be opened now").response(Some(id));
            }
        };
        let mut result = json!({
            "protocolVersion": revision,
            "capabilities": portrait.capabilities,
            "serverInfo": portrait.implementation,
        });
        if let Some(instructions) = portrait.instructions {
            result["instructions"] = instructions.into();
        }
        let mut response = answer::result(id, &answer::text(&result));
        let value = HeaderValue::from_str(&session.id).expect("hexadecimal digits make a header");
        response.headers_mut().insert(SESSION_ID, value);
        response
    }

    /// The result of `server/discover`.
    pub(super) async fn discover(&self, asked: &Asked<'_>) -> Bytes {
        let portrait = self.portrait(asked).await;
        let mut result = json!({
            "supportedVersions": [STATELESS],
            "capabilities": portrait.capabilities,
            "_meta": { SERVER_INFO: portrait.implementation },
        });
        if let Some(instructions) = portrait.instructions {
            result["instructions"] = instructions.into();
        }
        answer::text(&result)
    }

    async fn portrait(&self, asked: &Asked<'_>) -> Portrait {
        self.first_outcomes(asked).await;
        let catalog = self.gateway.catalog_builder().catalog();
        match asked.place {
            Place::One(name) => of_server(name, catalog.server(name).and_then(|server| server.info.as_ref())),
            Place::All => {
                let visible = || asked.place.servers(&catalog, asked.caller);
                let document = &self.config.document;
                let mut capabilities = tools_alone();
                for key in PASSED_ON {
                    if visible().any(|server| has_capability(server, key)) {
                        capabilities[key] = json!({});
                    }
                }
                if let Some(extensions) = extensions::of_all(visible().map(|server| &**server)) {
                    capabilities[EXTENSIONS] = Value::Object(extensions);
                }
                for (kind, what) in TOLD {
                    if self.tells(asked.caller, asked.place, kind, what) {
                        capabilities[kind][what] = true.into();
                    }
                }
                let instructions = of_all(visible(), &capabilities);
                Portrait {
                    capabilities,
                    implementation: json!({ "name": "mcpo", "title": document.name, "version": env!("CARGO_PKG_VERSION") }),
                    instructions,
                }
            }
        }
    }
}

fn tools_alone() -> Value {
    json!({ "tools": { "listChanged": true } })
}

fn of_server(name: &str, info: Option<&ServerInfo>) -> Portrait {
    let mut capabilities = tools_alone();
    let mut implementation = json!({ "name": name, "version": "" });
    let Some(info) = info else { return Portrait { capabilities, implementation, instructions: None } };
    let offered = held(Defined::Capabilities, &info.capabilities);
    for key in PASSED_ON {
        if let Some(offered) = offered.get(key) {
            capabilities[key] = offered.clone();
        }
    }
    if let Some(extensions) = extensions::carried(offered.get(EXTENSIONS)) {
        capabilities[EXTENSIONS] = Value::Object(extensions);
    }
    if info.implementation.is_empty() {
        implementation = json!({ "name": info.name, "version": info.version });
    } else {
        let mut said = info.implementation.clone();
        if !said.get("name").is_some_and(Value::is_string) {
            said.insert("name".to_owned(), name.into());
        }
        implementation = Value::Object(held(Defined::Implementation, &said).into_owned());
    }
    Portrait { capabilities, implementation, instructions: info.instructions.clone() }
}

/// What a server says of itself, as clients take it.
fn held(kind: Defined, said: &Map<String, Value>) -> Cow<'_, Map<String, Value>> {
    match mended(kind, said) {
        Ok(Some(mended)) => Cow::Owned(mended.definition),
        Ok(None) | Err(_) => Cow::Borrowed(said),
    }
}

/// The instructions of each server under its name, after what their tools, prompts and resources are called here.
fn of_all<'a>(
    servers: impl Iterator<Item = &'a std::sync::Arc<CatalogServer>>,
    capabilities: &Value,
) -> Option<String> {
    let offers = |key: &str| capabilities.get(key).is_some();
    let mut text = String::new();
    for server in servers {
        let Some(instructions) = server.info.as_ref().and_then(|info| info.instructions.as_deref()) else {
            continue;
        };
        text.push_str(&format!("\n# {}\n\n{}\n", server.name, instructions.trim()));
    }
    if text.is_empty() && !offers("prompts") && !offers("resources") {
        return None;
    }
    let mut head =
        "The tools of several servers; each is named after its server, as SERVER_TOOL.\n".to_owned();
    if offers("prompts") {
        head.push_str("So are their prompts, as SERVER_PROMPT.\n");
    }
    if offers("resources") {
        head.push_str("The URI of a resource is mcpo://SERVER/ and the server's own URI.\n");
    }
    Some(head + &text)
}
