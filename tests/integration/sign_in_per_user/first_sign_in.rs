//! The tool of the gateway that a server has before a first user has signed in to it.

use serde_json::json;

use super::{LIMIT, as_user, sign_in};
use crate::support::authorization::Authorization;
use crate::support::mcp::{Events, Session};
use crate::support::{Gateway, free_port, until};

#[tokio::test]
async fn before_the_first_sign_in_a_tool_leads_there_and_the_session_learns_when_it_is_done() {
    let Some(authorization) = Authorization::start(&[], &[]).await else { return };
    let port = free_port();
    let link = format!("http://localhost:{port}/oauth/person/start");
    let gateway = Gateway::with(json!({
        "publicUrl": format!("http://localhost:{port}"),
        "apiKeys": { "ann": "ann-key", "bob": "bob-key" },
        "mcpServers": { "person": authorization.entry(&json!({ "per": "user" })) },
    }));
    let gateway = gateway.port(port).flag("--api-key", "ops-key").start().await;
    let open = async |user: &str, path: &str| {
        let ask =
            as_user(&gateway, user, "POST", path).header("Accept", "application/json, text/event-stream");
        Session::able(ask, &json!({ "elicitation": { "url": {} } })).await
    };
    let (ann, of_all, bob) =
        (open("ann", "/person/mcp").await, open("ann", "/mcp").await, open("bob", "/person/mcp").await);
    until(LIMIT, "the tool is listed", async || (ann.tools().await == ["sign_in"]).then_some(())).await;
    assert_eq!(of_all.tools().await, ["person_sign_in"]);
    let refused = as_user(&gateway, "ann", "POST", "/person/sign_in").json(&json!({})).send().await;
    assert_eq!((refused.status, &refused.json()["detail"]["signIn"]), (401, &json!(link)));
    let stream = async |session: &Session, user: &str| {
        let head = format!(
            "Authorization: Bearer {user}-key\r\nMcp-Session-Id: {}\r\nAccept: text/event-stream\r\n",
            session.id
        );
        let mut events = Events::open(&gateway, "GET", "/person/mcp", &head, "").await;
        events.until("\r\n\r\n").await;
        events
    };
    let (mut anns, mut bobs) = (stream(&ann, "ann").await, stream(&bob, "bob").await);
    let mut questions = Vec::new();
    for session in [&ann, &bob] {
        let asked = session.error("tools/call", &json!({ "name": "sign_in", "arguments": {} })).await;
        assert_eq!(asked["code"], -32042, "{asked}");
        questions.push(asked["data"]["elicitations"][0].clone());
    }
    assert_eq!(questions[0]["url"], json!(link));
    sign_in(&gateway, "ann", "anns-account").await;
    let told = anns.message("notifications/elicitation/complete").await;
    assert_eq!(told["params"], json!({ "elicitationId": questions[0]["elicitationId"] }));
    until(LIMIT, "the tools of the server", async || {
        (ann.tools().await.contains(&"who".to_owned())).then_some(())
    })
    .await;
    // The tool that was there before says so, also to a client that asks for it again.
    for (session, tool) in [(&ann, "sign_in"), (&of_all, "person_sign_in")] {
        let fine = session.call(tool, &json!({})).await;
        assert!(fine["isError"].is_null() && fine.to_string().contains("You are signed in"), "{fine}");
    }
    for (session, tool) in [(&ann, "person_sign_in"), (&ann, "re_sign_in"), (&of_all, "person_re_sign_in")] {
        let unknown = session.error("tools/call", &json!({ "name": tool, "arguments": {} })).await;
        assert_eq!(unknown["message"], json!(format!("Unknown tool: {tool}")));
    }
    assert_eq!(bob.error("tools/call", &json!({ "name": "who", "arguments": {} })).await["code"], -32042);
    sign_in(&gateway, "bob", "bobs-account").await;
    let told = bobs.message("notifications/elicitation/complete").await;
    assert_eq!(told["params"], json!({ "elicitationId": questions[1]["elicitationId"] }));
    assert!(!anns.text.contains(questions[1]["elicitationId"].as_str().unwrap()), "{}", anns.text);
}

#[tokio::test]
async fn no_choice_among_the_tools_of_a_server_hides_the_one_that_leads_to_its_first_sign_in() {
    let Some(authorization) = Authorization::start(&[], &[]).await else { return };
    let (port, folder) = (free_port(), tempfile::tempdir().unwrap());
    let lock = folder.path().join("tools.lock");
    std::fs::write(&lock, json!({ "version": 1, "servers": {} }).to_string()).unwrap();
    let mut entry = authorization.entry(&json!({ "per": "user" }));
    entry["enabledTools"] = json!(["who"]);
    entry["disabledTools"] = json!(["sign_in"]);
    entry["readOnlyTools"] = json!([]);
    entry["tools"] = json!({ "sign_in": { "name": "log_in", "description": "no" } });
    let gateway = Gateway::with(json!({
        "publicUrl": format!("http://localhost:{port}"),
        "lock": { "file": lock, "drift": "quarantine" },
        "apiKeys": {
            "ann": "ann-key",
            "bob": { "key": "bob-key", "tools": ["person_who"] },
            "cid": { "key": "cid-key", "tools": ["*_read"], "readOnly": true },
            "dan": { "key": "dan-key", "tools": ["other_*"] },
        },
        "mcpServers": { "person": entry },
    }));
    let gateway = gateway.port(port).flag("--api-key", "ops-key").start().await;
    let mut sessions = Vec::new();
    for user in ["ann", "bob", "cid", "dan"] {
        let ask =
            as_user(&gateway, user, "POST", "/mcp").header("Accept", "application/json, text/event-stream");
        sessions.push(Session::able(ask, &json!({ "elicitation": { "url": {} } })).await);
    }
    until(LIMIT, "the tool is listed", async || {
        (sessions[0].tools().await == ["person_sign_in"]).then_some(())
    })
    .await;
    let call = json!({ "name": "person_sign_in", "arguments": {} });
    for session in &sessions[..3] {
        assert_eq!(session.tools().await, ["person_sign_in"]);
        assert_eq!(session.error("tools/call", &call).await["code"], -32042);
    }
    assert!(sessions[3].tools().await.is_empty(), "no tool of this server is for that key");
    // A tool that is not known yet leads there, too, in the name of its server.
    let asked = sessions[1].error("tools/call", &json!({ "name": "person_who" })).await;
    assert!(asked["message"].as_str().unwrap().starts_with("Sign in to person, "), "{asked}");
    let document = as_user(&gateway, "bob", "GET", "/person/openapi.json").send().await.ok();
    assert!(document["paths"].get("/sign_in").is_some(), "{document}");

    // The tools of the server are held to the lock, as ever.
    sign_in(&gateway, "ann", "anns-account").await;
    until(LIMIT, "the tools of the server", async || sessions[0].tools().await.is_empty().then_some(()))
        .await;
    let quarantined = as_user(&gateway, "ann", "POST", "/person/who").json(&json!({})).send().await;
    assert!(quarantined.text().contains("quarantined"), "{}", quarantined.text());
}
