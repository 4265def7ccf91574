//! A real authorization server and a real MCP server that trusts it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::servers::{Running, script};
use super::{Ask, free_port, provisioned};

/// Both, on ports of their own; they end with the value.
#[derive(Debug)]
pub struct Authorization {
    port: u16,
    pub server: Running,
    /// Address of the MCP server.
    pub resource: String,
    _protected: Running,
}

impl Authorization {
    /// Starts both; `options` are those of `authorization_server.mjs`. `None` where the part is to be skipped.
    pub async fn start(options: &[&str], environment: &[(&str, &str)]) -> Option<Self> {
        let python = provisioned::authorization()?;
        let (port, resource) = (free_port(), free_port());
        let (port_text, resource_text) = (port.to_string(), resource.to_string());
        let own = script("authorization_server.mjs");
        let command = [&["node", own.to_str().unwrap(), &port_text], options].concat();
        let server = Running::on_port(&command, environment, port).await;
        let protected = script("protected_server.py");
        let issuer = format!("http://localhost:{port}");
        let mut command =
            vec![python.to_str().unwrap(), protected.to_str().unwrap(), &resource_text, &issuer];
        command.extend(options.iter().filter(|option| **option == "--dpop"));
        let protected = Running::on_port(&command, &[], resource).await;
        let resource = format!("http://localhost:{resource}/mcp");
        Some(Self { port, server, resource, _protected: protected })
    }

    /// Ends the authorization server and starts it again.
    pub async fn restart(&mut self) {
        self.server.restart(self.port).await;
    }

    /// The identifier of the authorization server.
    pub fn issuer(&self) -> String {
        format!("http://localhost:{}", self.port)
    }

    /// How many refresh tokens it has exchanged, and how many it has refused.
    pub async fn renewals(&self) -> (u64, u64) {
        let counts = self.ask("GET", "/test/renewals").send().await.ok();
        (counts["renewed"].as_u64().unwrap(), counts["refused"].as_u64().unwrap())
    }

    /// Makes all access tokens void.
    pub async fn forget_access_tokens(&self) {
        self.ask("POST", "/test/forget-access-tokens").send().await.ok();
    }

    fn ask(&self, method: &str, path: &str) -> Ask {
        Ask::new(([127, 0, 0, 1], self.port).into(), method, path)
    }

    /// Whether it says that a token is good.
    pub async fn knows(&self, token: &str) -> bool {
        let credentials = STANDARD.encode("resource:resource-secret");
        let ask =
            self.ask("POST", "/token/introspection").header("Authorization", &format!("Basic {credentials}"));
        let ask =
            ask.header("Content-Type", "application/x-www-form-urlencoded").body(format!("token={token}"));
        ask.send().await.ok()["active"] == true
    }

    /// The entry of the MCP server, with this `oauth`.
    pub fn entry(&self, oauth: &Value) -> Value {
        json!({ "type": "http", "url": self.resource, "oauth": oauth })
    }
}
