//! A client that has registered, and the person whose browser it leads to the page.

use std::net::SocketAddr;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::net::TcpStream;
use url::{Url, form_urlencoded};

use crate::support::client::{Answer, Ask};
use crate::support::{Gateway, until};

pub const CALLBACK: &str = "http://localhost:1/callback";
pub const VERIFIER: &str = "a-verifier-of-at-least-forty-three-characters-0";

/// A client at a gateway, and its person.
pub struct Person {
    pub address: SocketAddr,
    pub client: String,
    pub resource: String,
    pub callback: String,
}

/// The page in a browser.
pub struct Page {
    address: SocketAddr,
    /// The gateway as the browser knows it.
    host: String,
    pub html: String,
    pub answer: Answer,
    /// The whole header.
    pub set_cookie: String,
    pub form: String,
}

#[derive(Debug)]
pub struct Tokens {
    pub access: String,
    pub refresh: String,
    pub answer: Value,
}

impl Tokens {
    fn of(answer: &Answer) -> Result<Self, String> {
        let found = answer.json();
        if answer.status != 200 {
            return Err(found["error"].as_str().unwrap().to_owned());
        }
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        let text = |name: &str| found[name].as_str().unwrap().to_owned();
        Ok(Self { access: text("access_token"), refresh: text("refresh_token"), answer: found.clone() })
    }
}

pub fn challenge() -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(VERIFIER))
}

/// Registers a client; gives the answer.
pub async fn register(gateway: &Gateway, name: &str, redirect_uris: &[&str]) -> Answer {
    let request = json!({ "client_name": name, "redirect_uris": redirect_uris });
    gateway.ask("POST", "/oauth/register").json(&request).send().await
}

/// Opens a session at the endpoint of all servers with `token`.
pub async fn initialize(gateway: &Gateway, token: &str) -> Answer {
    let who = json!({ "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": { "name": "test", "version": "1" } });
    let message = json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": who });
    let ask = gateway.ask("POST", "/mcp").json(&message).header("Authorization", &format!("Bearer {token}"));
    ask.header("Accept", "application/json, text/event-stream").send().await
}

impl Person {
    pub async fn at(gateway: &Gateway, name: &str) -> Self {
        let registered = register(gateway, name, &[CALLBACK]).await;
        assert_eq!(registered.status, 201, "{}", registered.text());
        let client = registered.json()["client_id"].as_str().unwrap().to_owned();
        let resource = format!("http://{}/mcp", gateway.address);
        Self { address: gateway.address, client, resource, callback: CALLBACK.to_owned() }
    }

    /// What a good client asks for.
    pub fn query(&self) -> Vec<(&'static str, String)> {
        vec![
            ("response_type", "code".to_owned()),
            ("client_id", self.client.clone()),
            ("redirect_uri", self.callback.clone()),
            ("state", "the state".to_owned()),
            ("code_challenge", challenge()),
            ("code_challenge_method", "S256".to_owned()),
            ("resource", self.resource.clone()),
        ]
    }

    /// The answer to a browser that is led here with this query.
    pub async fn led_with(&self, query: &[(&str, String)]) -> Answer {
        let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish();
        Ask::new(self.address, "GET", &format!("/oauth/authorize?{query}")).send().await
    }

    pub async fn opens(&self) -> Page {
        Page::of(self.address, self.address.to_string(), self.led_with(&self.query()).await)
    }

    /// The code that a typed key brings.
    pub async fn code(&self, key: &str) -> String {
        let answer = self.opens().await.answers(key).await;
        assert_eq!(answer.status, 303, "{}", answer.text());
        let address = Url::parse(answer.header("location").unwrap()).unwrap();
        assert!(address.as_str().starts_with(&self.callback), "{address}");
        let found = |name: &str| address.query_pairs().find(|(own, _)| own == name).unwrap().1.into_owned();
        assert_eq!(found("state"), "the state");
        assert!(self.resource.starts_with(&found("iss")), "{address}");
        Self::code_in(&answer)
    }

    /// The code that a browser is sent back to its client with.
    pub fn code_in(answer: &Answer) -> String {
        assert_eq!(answer.status, 303, "{}", answer.text());
        let address = Url::parse(answer.header("location").unwrap()).unwrap();
        address.query_pairs().find(|(own, _)| own == "code").unwrap().1.into_owned()
    }

    /// What a good client sends with a code.
    pub fn redemption<'b>(&'b self, code: &'b str) -> Vec<(&'static str, &'b str)> {
        vec![
            ("grant_type", "authorization_code"),
            ("client_id", &self.client),
            ("code", code),
            ("redirect_uri", &self.callback),
            ("code_verifier", VERIFIER),
            ("resource", &self.resource),
        ]
    }

    pub async fn redeems(&self, form: &[(&str, &str)]) -> Result<Tokens, String> {
        Tokens::of(&self.asks(form).await)
    }

    /// The answer to a request for tokens.
    pub async fn asks(&self, form: &[(&str, &str)]) -> Answer {
        Ask::new(self.address, "POST", "/oauth/token").form(form).send().await
    }

    pub async fn signs_in(&self, key: &str) -> Tokens {
        let code = self.code(key).await;
        self.redeems(&self.redemption(&code)).await.unwrap()
    }

    pub async fn renews(&self, tokens: &Tokens) -> Result<Tokens, String> {
        let form = [
            ("grant_type", "refresh_token"),
            ("client_id", &*self.client),
            ("refresh_token", &*tokens.refresh),
            ("resource", &*self.resource),
        ];
        self.redeems(&form).await
    }
}

impl Page {
    fn of(address: SocketAddr, host: String, answer: Answer) -> Self {
        let html = answer.text();
        assert_eq!(answer.status, 200, "{html}");
        let value = html.split_once("name=\"request\" value=\"").unwrap().1;
        let form = value.split('"').next().unwrap().to_owned();
        let set_cookie = answer.header("set-cookie").unwrap().to_owned();
        Self { address, host, html, set_cookie, form, answer }
    }

    /// The same page, whose answer goes to another replica.
    pub fn at(self, address: SocketAddr) -> Self {
        Self { address, ..self }
    }

    /// The cookie as the browser sends it.
    pub fn cookie(&self) -> &str {
        self.set_cookie.split(';').next().unwrap()
    }

    /// The form with a key, without the cookie.
    pub fn filled(&self, key: &str) -> Ask {
        let ask =
            Ask::new(self.address, "POST", "/oauth/authorize").form(&[("request", &self.form), ("key", key)]);
        ask.header("Host", &self.host)
    }

    pub async fn answers(&self, key: &str) -> Answer {
        self.filled(key).header("Cookie", self.cookie()).header("Sec-Fetch-Site", "same-origin").send().await
    }
}

/// Goes where a client leads a browser, types the key, and goes on to the client.
pub async fn visit(led_to: &str, key: &str) {
    let address = |url: &Url| SocketAddr::from(([127, 0, 0, 1], url.port().unwrap()));
    let path = |url: &Url| url.as_str().split_once(url.authority()).unwrap().1.to_owned();
    let url = Url::parse(led_to).unwrap();
    let asked = Ask::new(address(&url), "GET", &path(&url)).header("Host", url.authority()).send().await;
    let page = Page::of(address(&url), url.authority().to_owned(), asked);
    let answer = page.answers(key).await;
    assert_eq!(answer.status, 303, "{}", answer.text());
    let back = Url::parse(answer.header("location").unwrap()).unwrap();
    // A client may print where it leads the browser before it listens for its return.
    let listens = async || TcpStream::connect(address(&back)).await.ok();
    until(Duration::from_secs(30), "the client listens", listens).await;
    let taken = Ask::new(address(&back), "GET", &path(&back)).header("Host", back.authority()).send().await;
    assert_eq!(taken.status, 200, "{}", taken.text());
}
