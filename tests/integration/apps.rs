//! Apps (the extension `io.modelcontextprotocol/ui`): their tools name a page that the client reads, at every endpoint, and
//! client and server hear of each other's extensions.

use std::path::Path;

use serde_json::{Value, json};

use crate::support::mcp::{Session, stateless};
use crate::support::{Gateway, servers};

const PAGE: &str = "ui://clock/page.html";
const EXTENSION: &str = "io.modelcontextprotocol/ui";

/// A server with an App, and what it has of `page`; `said` is laid over it.
fn app(folder: &Path, page: &str, said: &Value) -> Value {
    let file = tempfile::NamedTempFile::new_in(folder).unwrap().keep().unwrap().1;
    let html =
        json!({ "uri": page, "mimeType": "text/html;profile=mcp-app", "text": format!("the page {page}") });
    let meta = json!({ "ui": { "resourceUri": page, "visibility": ["model", "app"] }, "ui/resourceUri": page, "x": page });
    let mut all = json!({
        "tools/list": { "tools": [{ "name": "clock", "inputSchema": { "type": "object" }, "_meta": meta }] },
        "resources/list": { "resources": [{ "uri": page, "name": "page" }] },
        "resources/read": { page: { "contents": [html] } },
    });
    all.as_object_mut().unwrap().extend(said.as_object().unwrap().clone());
    std::fs::write(&file, all.to_string()).unwrap();
    let log = folder.join("log");
    servers::entry("listing_server.py", &[file.to_str().unwrap(), "--log", log.to_str().unwrap()])
}

#[tokio::test]
async fn the_page_that_a_tool_names_is_read_at_each_endpoint() {
    let folder = tempfile::tempdir().unwrap();
    let config = json!({
        "time": app(folder.path(), PAGE, &json!({})),
        "clock": app(folder.path(), "ui://clock/other.html", &json!({})),
    });
    let gateway = Gateway::serving(config).start().await;
    gateway.ready(&["time", "clock"]).await;
    let all = Session::open(&gateway, "/mcp").await;
    let tools = all.result("tools/list", &json!({})).await["tools"].clone();
    let of = |tools: &Value, name: &str| {
        tools.as_array().unwrap().iter().find(|tool| tool["name"] == name).unwrap()["_meta"].clone()
    };
    let here = "ui://time/clock/page.html";
    let meta = json!({ "ui": { "resourceUri": here, "visibility": ["model", "app"] }, "ui/resourceUri": here, "x": PAGE });
    assert_eq!(of(&tools, "time_clock"), meta);
    let answer = stateless(gateway.ask("POST", "/mcp"), "tools/list", &json!({})).send().await.ok();
    assert_eq!(of(&answer["result"]["tools"], "time_clock"), meta);

    let read = async |session: &Session, uri: &str| {
        session.result("resources/read", &json!({ "uri": uri })).await["contents"][0].clone()
    };
    // As it is named here, as it was named before, and as the page itself knows it.
    for uri in [here, &format!("mcpo://time/{PAGE}"), PAGE] {
        let page = read(&all, uri).await;
        assert_eq!(
            (&page["uri"], &page["text"]),
            (&json!(here), &json!(format!("the page {PAGE}"))),
            "{uri}"
        );
    }
    let page = read(&all, "ui://clock/clock/other.html").await;
    assert_eq!(page["text"], "the page ui://clock/other.html");
    all.error("resources/read", &json!({ "uri": "ui://nowhere/page.html" })).await;
    let listed = all.result("resources/list", &json!({})).await;
    assert_eq!(listed["resources"][0], json!({ "uri": here, "name": "page" }));

    let own = Session::open(&gateway, "/time/mcp").await;
    let tools = own.result("tools/list", &json!({})).await["tools"].clone();
    assert_eq!(of(&tools, "clock")["ui"]["resourceUri"], PAGE);
    assert_eq!(read(&own, PAGE).await["uri"], PAGE);
}

#[tokio::test]
async fn a_page_that_two_servers_name_is_read_only_by_the_name_of_its_server() {
    let folder = tempfile::tempdir().unwrap();
    let config = json!({
        "a": app(folder.path(), PAGE, &json!({})), "b": app(folder.path(), PAGE, &json!({})),
    });
    let gateway = Gateway::serving(config).start().await;
    gateway.ready(&["a", "b"]).await;
    let all = Session::open(&gateway, "/mcp").await;
    all.error("resources/read", &json!({ "uri": PAGE })).await;
    all.result("resources/read", &json!({ "uri": "ui://b/clock/page.html" })).await;
}

#[tokio::test]
async fn extensions_are_told_to_both_sides() {
    let folder = tempfile::tempdir().unwrap();
    let other = folder.path().join("other");
    std::fs::create_dir(&other).unwrap();
    let declared = json!({
        EXTENSION: { "mimeTypes": ["text/html;profile=mcp-app"] }, "io.modelcontextprotocol/tasks": {},
    });
    let capabilities = json!({ "tools": {}, "resources": {}, "extensions": declared });
    let config = json!({
        "app": app(folder.path(), PAGE, &json!({ "initialize": { "capabilities": capabilities } })),
        "plain": app(&other, "ui://plain/x", &json!({})),
    });
    let gateway = Gateway::serving(config).start().await;
    gateway.ready(&["app", "plain"]).await;
    let crossing = json!({ EXTENSION: { "mimeTypes": ["text/html;profile=mcp-app"] } });
    for (path, tool) in [("/mcp", "app_clock"), ("/app/mcp", "clock")] {
        let introduction = Session::open(&gateway, path).await.introduction;
        assert_eq!(introduction["capabilities"]["extensions"], crossing, "{path}");
        let discovered =
            stateless(gateway.ask("POST", path), "server/discover", &json!({})).send().await.ok();
        assert_eq!(discovered["result"]["capabilities"]["extensions"], crossing, "{path}");

        let session = Session::able(gateway.ask("POST", path), &json!({ "extensions": declared })).await;
        session.heard(&gateway, path, tool, &json!({})).await;
        let log = std::fs::read_to_string(folder.path().join("log")).unwrap();
        let greetings = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let told = greetings.filter(|message| message["method"] == "initialize");
        let told: Vec<_> = told.map(|message| message["params"]["capabilities"].clone()).collect();
        assert_eq!(told.last(), Some(&json!({ "extensions": crossing })), "{path}");
        assert_eq!(told.first(), Some(&json!({})), "everybody's connection declares nothing");
    }
    let plain = Session::open(&gateway, "/plain/mcp").await.introduction;
    assert_eq!(plain["capabilities"].get("extensions"), None);
}
