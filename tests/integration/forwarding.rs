//! Headers of callers that go along to servers: which do, and which never do.

use serde_json::{Value, json};

use crate::support::identity::{Server, call, whoami};
use crate::support::mcp::Session;
use crate::support::servers::quirk;
use crate::support::{Gateway, provisioned};

#[tokio::test]
async fn what_must_not_be_forwarded_never_arrives_whatever_the_list_says() {
    let Some(python) = provisioned::python() else { return };
    let server = Server::start(&python, "streamable-http").await;
    let mut entry = server.entry(&["*"]);
    entry["headers"] = json!({ "X-Fixed": "of the entry" });
    let gateway = Gateway::serving(json!({ "s": entry })).start().await;
    gateway.listed(&["s"]).await;
    let planted = [
        ("Cookie", "planted=1"),
        ("Accept-Language", "planted"),
        ("Content-Language", "planted"),
        ("Proxy-Authorization", "Basic planted"),
        ("TE", "trailers"),
        ("Mcp-Session-Id", "planted"),
        ("Mcp-Protocol-Version", "planted"),
        ("Mcp-Name", "planted"),
        ("Last-Event-ID", "planted"),
        ("X-Request-Id", "an-id-of-the-caller"),
        ("X-Forwarded-For", "planted"),
        ("X-Forwarded-Host", "planted"),
        ("Forwarded", "for=planted"),
        ("Referer", "http://planted/"),
        ("Authorization", "Bearer planted"),
        ("X-Fixed", "planted"),
        ("Connection", "X-Hop"),
        ("X-Hop", "planted"),
        ("X-User", "ada"),
        ("X-Forwarded-User", "ada@example.org"),
    ];
    let seen = whoami(&gateway, &planted).await;
    assert_eq!(seen["headers"]["x-user"], "ada", "{seen}");
    assert_eq!(seen["headers"]["x-forwarded-user"], "ada@example.org", "{seen}");
    assert_eq!(seen["headers"]["x-fixed"], "of the entry", "{seen}");
    let requests = server.seen().await;
    assert!(requests.iter().any(|request| request["headers"]["x-user"] == "ada"), "{requests:?}");
    for request in requests {
        let text = request.to_string();
        assert!(!text.contains("planted") && !text.contains("x-hop"), "{text}");
        assert!(!text.contains("an-id-of-the-caller"), "{text}");
        assert_eq!(request["headers"]["te"], Value::Null, "{text}");
        assert_eq!(request["headers"]["host"], format!("127.0.0.1:{}", server.port), "{text}");
    }
    gateway.logged("s/whoami ok").await;
    for text in [gateway.log(), gateway.get("/servers").await.text()] {
        assert!(!text.contains("planted") && !text.contains("ada"), "a value of a caller in {text}");
    }
}

#[tokio::test]
async fn credentials_go_along_only_where_they_are_named_and_no_key_is_needed() {
    let Some(python) = provisioned::python() else { return };
    let server = Server::start(&python, "streamable-http").await;
    let config = json!({
        "s": server.entry(&["Authorization"]),
        "pattern": server.entry(&["*"]),
        "none": server.entry(&[]),
    });
    let gateway = Gateway::serving(config.clone()).start().await;
    gateway.listed(&["s", "pattern", "none"]).await;
    let headers = [("Authorization", "Bearer of-ada")];
    assert_eq!(whoami(&gateway, &headers).await["headers"]["authorization"], "Bearer of-ada");
    for path in ["/pattern/whoami", "/none/whoami"] {
        let seen = call(&gateway, path, &headers, &json!({})).await.ok();
        assert_eq!(seen["headers"]["authorization"], Value::Null, "{path}: {seen}");
    }
    gateway.logged("none/whoami ok").await;
    assert!(!gateway.log().contains("of-ada"));
    drop(gateway);

    let gateway = Gateway::serving(config).flag("--api-key", "key-of-the-gateway").start().await;
    gateway.listed(&["s", "pattern", "none"]).await;
    gateway.logged("callers present the gateway's own API key").await;
    let copies =
        [("X-Api-Key", "key-of-the-gateway"), ("X-Copy", "Bearer key-of-the-gateway"), ("X-User", "ada")];
    for path in ["/s/whoami", "/pattern/whoami", "/none/whoami"] {
        let seen = call(&gateway, path, &copies, &json!({})).await.ok();
        assert_eq!(seen["headers"]["x-user"] == "ada", path == "/pattern/whoami", "{path}: {seen}");
    }
    for request in server.seen().await {
        assert!(!request.to_string().contains("key-of-the-gateway"), "{request}");
    }
}

#[tokio::test]
async fn a_call_through_the_gateways_own_tool_forwards_what_the_inner_server_allows() {
    let Some(python) = provisioned::python() else { return };
    let server = Server::start(&python, "streamable-http").await;
    let gateway = Gateway::serving(json!({
        "gateway": { "builtin": "gateway" },
        "s": server.entry(&["X-User"]),
        "other": server.entry(&["X-Team"]),
        "none": server.entry(&[]),
        "plain": quirk(&["behave"]),
    }))
    .start()
    .await;
    gateway.listed(&["s", "other", "none", "plain"]).await;
    let headers = [("X-User", "ada"), ("X-Team", "blue")];
    for (name, user, team) in [
        ("s", json!("ada"), Value::Null),
        ("other", Value::Null, json!("blue")),
        ("none", Value::Null, Value::Null),
    ] {
        let body = json!({ "server": name, "tool": "whoami" });
        let seen = call(&gateway, "/gateway/call_tool", &headers, &body).await.ok();
        assert_eq!(
            (&seen["headers"]["x-user"], &seen["headers"]["x-team"]),
            (&user, &team),
            "{name}: {seen}"
        );
    }
    let body = json!({ "server": "plain", "tool": "noargs" });
    call(&gateway, "/gateway/call_tool", &headers, &body).await.ok();
}

#[tokio::test]
async fn prompts_and_resources_are_asked_for_with_the_headers_of_who_asks() {
    let Some(python) = provisioned::python() else { return };
    let server = Server::start(&python, "streamable-http").await;
    let gateway = Gateway::serving(json!({ "s": server.entry(&["X-User"]) })).start().await;
    gateway.listed(&["s"]).await;
    for (path, prompt, uri) in
        [("/s/mcp", "whoami", "whoami://caller"), ("/mcp", "s_whoami", "mcpo://s/whoami://caller")]
    {
        for user in ["ada", "bob"] {
            let session = Session::open_with(gateway.ask("POST", path).header("X-User", user)).await;
            let got = session.result("prompts/get", &json!({ "name": prompt })).await;
            assert_eq!(got["messages"][0]["content"]["text"], format!("I am {user}"), "{path}: {got}");
            let read = session.result("resources/read", &json!({ "uri": uri })).await;
            assert_eq!(read["contents"][0]["text"], format!("caller is {user}"), "{path}: {read}");
        }
    }
}
