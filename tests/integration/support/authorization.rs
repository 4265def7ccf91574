//! A real authorization server and a real MCP server that trusts it.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use url::Url;

use super::servers::{Running, script};
use super::sign_in::Browser;
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

    /// An access token of `user` for the gateway with the address `own`, which has its client sign users in.
    pub async fn token_of(&self, user: &str, own: &str) -> String {
        const VERIFIER: &str = "a-verifier-of-at-least-forty-three-characters-0";
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(VERIFIER));
        let (redirect, resource) = (format!("{own}/oauth/user/callback"), format!("{own}/mcp"));
        let mut url = Url::parse(&format!("{}/auth", self.issuer())).unwrap();
        url.query_pairs_mut()
            .extend_pairs([("response_type", "code"), ("client_id", "gateway"), ("scope", "openid")])
            .extend_pairs([
                ("redirect_uri", &redirect),
                ("resource", &resource),
                ("code_challenge", &challenge),
            ])
            .append_pair("code_challenge_method", "S256");
        let callback = Url::parse(&Browser::default().sign_in(url.as_str(), user).await).unwrap();
        let code = callback.query_pairs().find(|(name, _)| name == "code").unwrap().1.into_owned();
        let form = [
            ("grant_type", "authorization_code"),
            ("code", &code),
            ("redirect_uri", &redirect),
            ("code_verifier", VERIFIER),
            ("resource", &resource),
        ];
        let credentials = STANDARD.encode("gateway:gateway-secret");
        let ask = self.ask("POST", "/token").header("Authorization", &format!("Basic {credentials}"));
        ask.form(&form).send().await.ok()["access_token"].as_str().unwrap().to_owned()
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
