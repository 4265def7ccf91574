//! An issuer in the test's own process, for tokens and faults that a real one does not produce on demand.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use serde_json::{Value, json};

use crate::support::client::Answer;
use crate::support::fake_http::{FakeHttp, Says};
use crate::support::{Gateway, until};

/// The audience of the gateway.
pub const AUDIENCE: &str = "https://gateway.test";

/// An issuer that publishes the keys which it is given, and is away when it has none.
pub struct ScriptedIssuer {
    http: FakeHttp,
    keys: Arc<Mutex<Vec<Value>>>,
    servers: [FakeHttp; 2],
}

/// A key of an issuer under a `kid`.
pub struct Key {
    pub pair: EcdsaKeyPair,
    kid: &'static str,
}

impl Key {
    pub fn new(kid: &'static str) -> Self {
        let random = SystemRandom::new();
        let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, document.as_ref(), &random);
        Self { pair: pair.unwrap(), kid }
    }

    pub fn public(&self) -> Value {
        let point = self.pair.public_key().as_ref();
        let (x, y) = (URL_SAFE_NO_PAD.encode(&point[1..33]), URL_SAFE_NO_PAD.encode(&point[33..]));
        json!({ "kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": self.kid, "x": x, "y": y })
    }

    /// A token with these claims, and with `header` in place of parts of its header.
    pub fn token(&self, header: &Value, claims: &Value) -> String {
        let text = unsigned(self.kid, header, claims);
        let signature = self.pair.sign(&SystemRandom::new(), text.as_bytes()).unwrap();
        format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

pub fn unsigned(kid: &str, header: &Value, claims: &Value) -> String {
    let mut whole = json!({ "alg": "ES256", "typ": "at+jwt", "kid": kid });
    whole.as_object_mut().unwrap().extend(header.as_object().unwrap().clone());
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}", part(&whole), part(claims))
}

pub fn seconds_from_now(seconds: i64) -> i64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    i64::try_from(now).unwrap() + seconds
}

impl ScriptedIssuer {
    pub async fn start(keys: &[&Key]) -> Self {
        let published = Arc::new(Mutex::new(keys.iter().map(|key| key.public()).collect::<Vec<_>>()));
        let known = published.clone();
        let http = FakeHttp::start(move |came| {
            let keys = known.lock().unwrap().clone();
            let issuer = format!("http://{}", came.header("host"));
            Some(match came.path.as_str() {
                _ if keys.is_empty() => Says::new(503, "text/plain", "away"),
                "/.well-known/oauth-authorization-server" => {
                    Says::json(200, &json!({ "issuer": issuer, "jwks_uri": format!("{issuer}/keys") }))
                }
                "/keys" => Says::json(200, &json!({ "keys": keys })),
                _ => Says::new(404, "text/plain", "no"),
            })
        });
        Self { http: http.await, keys: published, servers: servers().await }
    }

    pub fn publish(&self, keys: &[&Key]) {
        *self.keys.lock().unwrap() = keys.iter().map(|key| key.public()).collect();
    }

    pub fn address(&self) -> String {
        format!("http://127.0.0.1:{}", self.http.port)
    }

    pub fn asked_for_keys(&self) -> usize {
        self.http.came().iter().filter(|came| came.path == "/keys").count()
    }

    /// The claims of a good token of `user`, with `more` in place of some.
    pub fn claims(&self, user: &str, more: &Value) -> Value {
        let mut claims = json!({
            "iss": self.address(), "sub": user, "aud": AUDIENCE, "exp": seconds_from_now(600),
            "iat": seconds_from_now(0), "client_id": "test", "jti": "1", "email": format!("{user}@example.test"),
        });
        for (name, value) in more.as_object().unwrap() {
            claims[name] = value.clone();
        }
        claims
    }

    pub async fn gateway(&self, users: Value) -> Gateway {
        let [one, two] = &self.servers;
        let issuers = json!([{ "issuer": self.address(), "audience": AUDIENCE, "users": users }]);
        let gateway = Gateway::with(json!({
            "mcpServers": { "one": one.entry(), "two": two.entry() },
            "signIn": { "issuers": issuers },
        }));
        let gateway = gateway.flag("--api-key", "key-of-ops").start().await;
        for server in ["one", "two"] {
            until(Duration::from_secs(30), "the server is ready", async || {
                (call(&gateway, server, "key-of-ops").await.status == 200).then_some(())
            })
            .await;
        }
        gateway
    }
}

/// Two servers with the tool `t`.
pub async fn servers() -> [FakeHttp; 2] {
    [FakeHttp::start(|_| None).await, FakeHttp::start(|_| None).await]
}

/// Calls the tool of a server with a token.
pub async fn call(gateway: &Gateway, server: &str, token: &str) -> Answer {
    let ask = gateway.ask("POST", &format!("/{server}/t")).json(&json!({}));
    ask.header("Authorization", &format!("Bearer {token}")).send().await
}
