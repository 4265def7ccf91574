//! Authorization servers that answer otherwise than the standards say, as real ones do.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::servers::{Running, script};
use crate::support::sign_in::Browser;
use crate::support::{Ask, Gateway, free_port, until};

/// Servers with these options, on addresses of their own.
struct Odd {
    port: u16,
    _running: Running,
}

impl Odd {
    async fn start(options: &[Value]) -> Self {
        let (port, own) = (free_port(), script("odd_authorization.py"));
        let texts: Vec<String> = options.iter().map(Value::to_string).collect();
        let port_text = port.to_string();
        let mut command = vec!["python3", own.to_str().unwrap(), &port_text];
        command.extend(texts.iter().map(String::as_str));
        Self { port, _running: Running::on_port(&command, &[], port).await }
    }

    fn address(&self, number: usize) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::new(127, 0, 0, u8::try_from(number).unwrap() + 1), self.port))
    }

    fn entry(&self, number: usize, oauth: &Value) -> Value {
        json!({ "type": "http", "url": format!("http://{}/mcp", self.address(number)), "oauth": oauth })
    }

    /// The requests so far for a sign-in and for tokens.
    async fn asked(&self, number: usize) -> Vec<Value> {
        let answer = Ask::new(self.address(number), "GET", "/asked").send().await;
        serde_json::from_value(answer.ok()).unwrap()
    }
}

/// A gateway that signs in to each as itself.
async fn machines(odd: &Odd, names: &[&str]) -> Gateway {
    let oauth = json!({ "grant": "client_credentials", "clientId": "robot", "clientSecret": "secret" });
    let servers =
        names.iter().enumerate().map(|(number, name)| ((*name).to_owned(), odd.entry(number, &oauth)));
    Gateway::serving(Value::Object(servers.collect())).start().await
}

#[tokio::test]
async fn a_token_is_used_whatever_its_answer_lacks_or_writes_otherwise() {
    let cases = [
        ("form", json!({ "form": true })),
        ("kind", json!({ "kind": "text/plain" })),
        ("created", json!({ "status": 201 })),
        ("no-type", json!({ "token": { "token_type": null } })),
        ("text-lifetime", json!({ "token": { "expires_in": "3600" } })),
        ("half-seconds", json!({ "token": { "expires_in": 3599.5 } })),
        ("scope-list", json!({ "token": { "scope": ["a"], "refresh_token": "" } })),
        ("no-resource", json!({ "noResource": "always" })),
        ("slash", json!({ "resource": "BASE/mcp/" })),
        ("refused-by-403", json!({ "refusal": 403 })),
        ("another-issuer", json!({ "another": "issuer" })),
        ("another-resource", json!({ "another": "resource" })),
        (
            "nulls",
            json!({ "metadata": { "scopes_supported": null, "jwks_uri": 5, "response_types_supported": "code" } }),
        ),
    ];
    let (names, options): (Vec<_>, Vec<_>) = cases.into_iter().unzip();
    let odd = Odd::start(&options).await;
    let gateway = machines(&odd, &names).await;
    gateway.ready(&names).await;
    for name in &names {
        assert_eq!(gateway.post(&format!("/{name}/hello"), &json!({})).await.ok(), "hello", "{name}");
    }
    let place = |name: &str| names.iter().position(|known| *known == name).unwrap();
    let resources = async |name: &str| -> Vec<Value> {
        odd.asked(place(name)).await.iter().map(|form| form["resource"].clone()).collect()
    };
    let own = |name: &str| json!(format!("http://{}/mcp", odd.address(place(name))));
    assert_eq!(resources("form").await, [own("form")]);
    assert_eq!(resources("no-resource").await, [own("no-resource"), Value::Null], "once, and then without");
    let slash = format!("http://{}/mcp/", odd.address(place("slash")));
    assert_eq!(resources("slash").await, [json!(slash)], "as it was published");
}

#[tokio::test]
async fn a_token_endpoints_own_words_are_the_reason_whatever_status_they_come_with() {
    let cases = [
        (
            "bad_code: it has expired",
            json!({ "errorStatus": 200, "error": { "error": "bad_code", "error_description": "it has expired" } }),
        ),
        ("bad_code", json!({ "errorStatus": 200, "error": "error=bad_code&interval=5" })),
        (
            "the tenant is closed",
            json!({ "errorStatus": 403, "error": { "message": "the tenant is closed" } }),
        ),
        ("503", json!({ "errorStatus": 503, "error": "<html>maintenance</html>" })),
        ("is no token", json!({ "errorStatus": 200, "error": "<html>welcome</html>" })),
    ];
    let names = ["a", "b", "c", "d", "e"];
    let (words, options): (Vec<_>, Vec<_>) = cases.into_iter().unzip();
    let odd = Odd::start(&options).await;
    let gateway = machines(&odd, &names).await;
    for (name, words) in names.iter().zip(words) {
        let reason = gateway.in_state(name, "unavailable").await["reason"].as_str().unwrap().to_owned();
        assert!(reason.contains(words), "{words}: {reason}");
    }
}

#[tokio::test]
async fn people_sign_in_to_such_servers_and_their_tokens_are_renewed() {
    let short = json!({ "token_type": null, "expires_in": "1" });
    let cases = [
        ("form", json!({ "form": true, "token": { "expires_in": 1 } })),
        ("without", json!({ "noResource": "refresh", "token": short })),
        ("slash", json!({ "resource": "BASE/mcp/", "refusal": 403, "token": short })),
    ];
    for (name, options) in cases {
        // A browser finds everything at one address.
        let (odd, port) = (Odd::start(&[options]).await, free_port());
        let servers = Value::Object([(name.to_owned(), odd.entry(0, &json!(true)))].into_iter().collect());
        let config = json!({ "publicUrl": format!("http://localhost:{port}"), "mcpServers": servers });
        let gateway = Gateway::with(config).port(port).start().await;
        let waiting = gateway.in_state(name, "unavailable").await;
        let start = waiting["signIn"].as_str().unwrap_or_else(|| panic!("{name}: {waiting}"));
        let mut browser = Browser::default();
        let url = browser.begin(start).await;
        let callback = browser.sign_in(&url, "ann").await;
        assert_eq!(browser.come_back(&callback).await.status, 200, "{name}");
        gateway.ready(&[name]).await;
        let renewed = async || {
            assert_eq!(gateway.post(&format!("/{name}/hello"), &json!({})).await.ok(), "hello", "{name}");
            let asked = odd.asked(0).await;
            let last = asked.last().filter(|form| form["grant_type"] == "refresh_token").cloned();
            last.filter(|form| name != "without" || form["resource"].is_null()).map(|last| (asked, last))
        };
        let (asked, last) = until(Duration::from_secs(20), "a renewal", renewed).await;
        let published = match name {
            "slash" => format!("http://{}/mcp/", odd.address(0)),
            _ => format!("http://{}/mcp", odd.address(0)),
        };
        assert_eq!(asked[0]["resource"], published, "{name}: the sign-in");
        assert_eq!(
            last["resource"],
            if name == "without" { Value::Null } else { json!(published) },
            "{name}"
        );
    }
}
