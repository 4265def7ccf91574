//! The page for people: its files and their headers, what it is told and may be told, and the page itself in a browser.

pub mod browser;
mod manifests;
mod newcomer;

use serde_json::{Value, json};

use crate::support::{Answer, Gateway, servers};

const PLAIN: &str = "key-plain";
const LIMITED: &str = "key-limited";
const READER: &str = "key-reader";
const ADMIN: &str = "key-admin";

/// Two servers and four keys.
async fn keyed() -> Gateway {
    let config = json!({
        "mcpServers": {
            "a": servers::scripted(&["--tools-read-only", "look"]),
            "b": servers::scripted(&[]),
        },
        "apiKeys": {
            "plain": PLAIN,
            "limited": { "key": LIMITED, "servers": ["a"] },
            "reader": { "key": READER, "readOnly": true },
            "admin": { "key": ADMIN, "admin": true },
        },
    });
    let gateway = Gateway::with(config).flag("--api-key", "key-of-the-fixture").start().await;
    gateway.listed(&["a", "b"]).await;
    gateway
}

async fn get(gateway: &Gateway, key: &str, path: &str) -> Answer {
    gateway.ask("GET", path).header("Authorization", &format!("Bearer {key}")).send().await
}

/// The paths that a text of the page names between `before` and the next quote.
fn named<'a>(text: &'a str, before: &str) -> Vec<&'a str> {
    text.split(before).skip(1).map(|rest| rest.split('"').next().unwrap()).collect()
}

fn assert_sealed(answer: &Answer, path: &str) {
    let policy = answer.header("content-security-policy").unwrap_or_else(|| panic!("{path} has no policy"));
    assert!(
        policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self';"),
        "{path}: {policy}"
    );
    for forbidden in ["unsafe", "*", "http", "data:"] {
        assert!(!policy.contains(forbidden), "{path}: {policy}");
    }
    for needed in
        ["frame-ancestors 'none'", "base-uri 'none'", "form-action 'none'", "require-trusted-types-for"]
    {
        assert!(policy.contains(needed), "{path}: {policy}");
    }
    assert_eq!(answer.header("referrer-policy"), Some("no-referrer"), "{path}");
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{path}");
}

#[tokio::test]
async fn the_page_and_all_that_it_names_are_served_under_a_strict_policy_and_not_sent_twice() {
    let gateway = Gateway::bare().start().await;
    let page = gateway.get("/").await;
    assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
    let html = page.text();
    for inline in [
        "<style",
        "style=",
        "onload",
        "onclick",
        "onerror",
        "<script>",
        "javascript:",
        "http:",
        "https:",
        "//",
    ] {
        assert!(!html.contains(inline), "the page holds {inline}");
    }
    let mut paths: Vec<String> = ["src=\"", "href=\""]
        .iter()
        .flat_map(|before| named(&html, before))
        .filter(|path| path.starts_with("assets/"))
        .map(|path| format!("/{path}"))
        .collect();
    assert!(paths.len() >= 3, "{paths:?}");
    // Modules name their sisters.
    let mut index = 0;
    while index < paths.len() {
        let file = gateway.get(&paths[index]).await;
        assert_eq!(file.status, 200, "{}", paths[index]);
        assert_sealed(&file, &paths[index]);
        let text = file.text();
        for word in
            ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "setAttribute(\"on"]
        {
            assert!(!text.contains(word), "{} uses {word}", paths[index]);
        }
        for sister in named(&text, "from \"./") {
            let path = format!("/assets/page/{sister}");
            if !paths.contains(&path) {
                paths.push(path);
            }
        }
        let again = gateway.ask("GET", &paths[index]).header("If-None-Match", file.header("etag").unwrap());
        assert_eq!(again.send().await.status, 304, "{}", paths[index]);
        index += 1;
    }
    assert!(paths.len() >= 9, "{paths:?}");
    assert_sealed(&page, "/");
    let head = gateway.ask("HEAD", "/").send().await;
    assert_eq!((head.status, head.body.len(), head.header("etag")), (200, 0, page.header("etag")));
    let post = gateway.ask("POST", "/").send().await;
    assert_eq!((post.status, post.header("allow")), (405, Some("GET, HEAD")));
    for path in ["/assets/page/", "/assets/page/page.html", "/assets/page/..%2Fweb.rs", "/assets/page/x.js"] {
        assert_eq!(gateway.get(path).await.status, 404, "{path}");
    }
}

#[tokio::test]
async fn the_page_needs_no_key_holds_no_server_and_is_the_same_for_everybody() {
    let gateway = keyed().await;
    let anonymous = gateway.ask("GET", "/").send().await;
    assert_eq!(anonymous.status, 200);
    assert!(anonymous.text().contains("data-keys=\"required\""), "{}", anonymous.text());
    for key in [ADMIN, LIMITED, "key-wrong"] {
        assert_eq!(get(&gateway, key, "/").await.body, anonymous.body, "{key}");
    }
    for path in ["/servers", "/servers/a/tools"] {
        assert_eq!(gateway.ask("GET", path).send().await.status, 401, "{path}");
        assert_eq!(get(&gateway, "key-wrong", path).await.status, 403, "{path}");
    }
    let strict = Gateway::serving(json!({ "a": servers::scripted(&[]) }));
    let strict = strict.flag("--api-key", "k").switch("--strict-auth").start().await;
    for path in ["/", "/assets/page/main.js"] {
        assert_eq!(strict.ask("GET", path).send().await.status, 200, "{path}");
    }
    assert_eq!(strict.ask("GET", "/docs").send().await.status, 401);
    let open = Gateway::bare().start().await;
    assert!(open.get("/").await.text().contains("data-keys=\"none\""));
}

#[tokio::test]
async fn the_list_tells_of_calls_and_is_sent_again_only_when_something_changed() {
    let gateway = Gateway::serving(json!({ "s": servers::scripted(&[]) })).start().await;
    gateway.listed(&["s"]).await;
    let first = gateway.get("/servers").await;
    assert_eq!(first.json()["servers"][0]["calls"], json!({ "total": 0, "failed": 0 }));
    let tag = first.header("etag").unwrap().to_owned();
    assert!(tag.starts_with("W/\""), "{tag}");
    assert_eq!(first.header("vary"), Some("Authorization"));
    let again = async || gateway.ask("GET", "/servers").header("If-None-Match", &tag).send().await;
    assert_eq!(again().await.status, 304);
    for _ in 0..3 {
        gateway.post("/s/pid", &json!({})).await.ok();
    }
    assert_eq!(gateway.post("/s/slow", &json!({ "seconds": "many" })).await.status, 422);
    let changed = again().await.ok();
    let calls = &changed["servers"][0]["calls"];
    assert_eq!((&calls["total"], &calls["failed"]), (&json!(4), &json!(1)), "{calls}");
    assert_eq!(calls["failures"], json!({ "bad_arguments": 1 }), "{calls}");
    let (mean, most) = (calls["meanMs"].as_f64().unwrap(), calls["p95Ms"].as_f64().unwrap());
    assert!(mean > 0.0 && mean < 5_000.0 && most > 0.0, "{calls}");
}

#[tokio::test]
async fn a_retry_that_comes_nearer_is_no_change() {
    let gateway = Gateway::serving(json!({ "gone": { "url": "http://127.0.0.1:9/mcp" } })).start().await;
    gateway.in_state("gone", "unavailable").await;
    // Far enough apart that the seconds until the next try differ, if it is far enough away.
    let apart =
        crate::support::until(std::time::Duration::from_secs(60), "two moments of one pause", async || {
            let first = gateway.get("/servers").await;
            let entry = first.json()["servers"][0].clone();
            let left = entry["nextRetrySeconds"].as_u64().filter(|left| *left >= 3)?;
            assert!(entry["nextRetryAt"].as_u64().unwrap() > entry["since"].as_u64().unwrap(), "{entry}");
            tokio::time::sleep(std::time::Duration::from_millis(1_200)).await;
            let later = gateway.get("/servers").await;
            let now = later.json()["servers"][0].clone();
            (now["nextRetrySeconds"].as_u64()? < left).then_some((first, later, entry, now))
        })
        .await;
    let (first, later, entry, now) = apart;
    assert_eq!(first.header("etag"), later.header("etag"), "{} and {}", first.text(), later.text());
    assert_eq!((&entry["since"], &entry["nextRetryAt"]), (&now["since"], &now["nextRetryAt"]));
}

#[tokio::test]
async fn the_gateway_tells_the_page_where_it_stands_and_each_key_what_it_is() {
    let gateway = keyed().await;
    let about = async |key: &str| get(&gateway, key, "/servers").await.ok()["gateway"].clone();
    let admin = about(ADMIN).await;
    assert_eq!(
        (&admin["key"], &admin["admin"], &admin["keys"], &admin["openDocuments"], &admin["pathPrefix"]),
        (&json!("admin"), &json!(true), &json!(true), &json!(false), &json!("/"))
    );
    let limited = about(LIMITED).await;
    assert_eq!((&limited["key"], &limited["admin"]), (&json!("limited"), &json!(false)));
    assert!(limited.get("publicUrl").is_none(), "{limited}");
}

#[tokio::test]
async fn the_tools_of_a_server_come_as_it_defined_them_and_within_the_scope_of_the_key() {
    let gateway = keyed().await;
    let names = |list: &Value| -> Vec<String> {
        let tools = list["tools"].as_array().unwrap().iter();
        tools.map(|tool| tool["name"].as_str().unwrap().to_owned()).collect()
    };
    let list = get(&gateway, LIMITED, "/servers/a/tools").await.ok();
    assert!(names(&list).contains(&"echo".to_owned()), "{list}");
    assert_eq!(list["tools"][0]["definition"]["inputSchema"]["properties"], json!({ "value": {} }));
    assert_eq!(names(&get(&gateway, READER, "/servers/a/tools").await.ok()), ["look"]);
    assert_eq!(names(&get(&gateway, READER, "/servers/b/tools").await.ok()), Vec::<String>::new());
    // A hidden server looks like one that does not exist.
    let (hidden, missing) =
        (get(&gateway, LIMITED, "/servers/b/tools").await, get(&gateway, LIMITED, "/servers/c/tools").await);
    assert_eq!((hidden.status, &hidden.body), (404, &missing.body));
    // What another key's calls came to is told of the tools in scope alone.
    for path in ["/a/pid", "/a/look"] {
        let ask = gateway.ask("POST", path).header("Authorization", &format!("Bearer {PLAIN}"));
        ask.json(&json!({})).send().await.ok();
    }
    let total =
        async |key: &str| get(&gateway, key, "/servers").await.ok()["servers"][0]["calls"]["total"].clone();
    assert_eq!((total(PLAIN).await, total(READER).await), (json!(2), json!(1)));
}

#[tokio::test]
async fn the_page_stands_under_a_prefix_and_behind_a_root_path_and_before_a_single_server() {
    let config = json!({ "s": servers::scripted(&[]) });
    let setup = Gateway::serving(config).flag("--path-prefix", "/pre").flag("--root-path", "/api");
    let gateway = setup.start().await;
    gateway.listed(&["s"]).await;
    for base in ["/", "/pre/", "/api/", "/api/pre/"] {
        for path in ["", "assets/page/main.js", "servers", "servers/s/tools"] {
            assert_eq!(gateway.get(&format!("{base}{path}")).await.status, 200, "{base}{path}");
        }
    }
    let moved = gateway.get("/pre").await;
    assert_eq!((moved.status, moved.header("location")), (307, Some("pre/")));
    let script = servers::script("scripted_server.py").to_string_lossy().into_owned();
    let single = Gateway::bare().command(&["python3", &script]).start().await;
    let name = single.servers().await[0]["name"].as_str().unwrap().to_owned();
    single.listed(&[&name]).await;
    assert_eq!(single.get("/").await.status, 200);
    assert_eq!(single.get("/servers").await.ok()["gateway"]["single"], true);
    assert_eq!(single.get(&format!("/servers/{name}/tools")).await.status, 200);
    // A tool of that name would be called: every POST is a call.
    assert_eq!(single.post("/", &json!({})).await.status, 404);
}
