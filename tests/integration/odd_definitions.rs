//! Definitions that are not as the protocol has them: what is odd costs at most itself, at every endpoint and to the strictest
//! of the official SDKs.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::{Map, Value, json};
use tokio::process::Command;

use crate::support::mcp::{Session, names, stateless};
use crate::support::{Gateway, provisioned, servers};

const LISTS: [&str; 4] = ["tools", "prompts", "resources", "resourceTemplates"];
const SESSIONS: &str = "legacy";
const STATELESS: &str = "2026-07-28";

/// A server whose answers are `said`.
pub fn listing(folder: &tempfile::TempDir, said: &Value) -> Value {
    let file = tempfile::NamedTempFile::new_in(folder).unwrap().keep().unwrap().1;
    std::fs::write(&file, said.to_string()).unwrap();
    servers::entry("listing_server.py", &[file.to_str().unwrap()])
}

pub fn lists(tools: &Value, prompts: &Value, resources: &Value, templates: &Value) -> Value {
    json!({
        "tools/list": { "tools": tools },
        "prompts/list": { "prompts": prompts },
        "resources/list": { "resources": resources },
        "resources/templates/list": { "resourceTemplates": templates },
    })
}

/// One good definition of each kind.
fn good() -> Value {
    let named = json!([{ "name": "hello", "inputSchema": { "type": "object" } }]);
    let resource = json!([{ "uri": "a://hello", "name": "hello" }]);
    lists(
        &named,
        &json!([{ "name": "hello" }]),
        &resource,
        &json!([{ "uriTemplate": "a://{x}", "name": "hello" }]),
    )
}

/// A definition of each kind of list that has every member, and what it is found by.
fn full(list: &str) -> (Value, &'static str) {
    let icons =
        json!([{ "src": "https://x/i.png", "mimeType": "image/png", "sizes": ["any"], "theme": "dark" }]);
    let annotations =
        json!({ "audience": ["user"], "priority": 0.5, "lastModified": "2025-01-12T15:00:58Z" });
    let schema = json!({
        "$schema": "http://json-schema.org/draft-07/schema#", "type": "object", "required": ["a"],
        "properties": { "a": { "type": "string", "enum": ["x"], "pattern": "^x$", "minLength": 1 }, "b": { "$ref": "#/$defs/b" } },
        "$defs": { "b": { "type": "array", "items": { "type": "integer", "minimum": 0 } } },
    });
    let mut full =
        json!({ "name": "", "title": "T", "description": "D", "icons": icons, "_meta": { "a": 1 } });
    let more = match list {
        "tools" => json!({
            "inputSchema": schema, "outputSchema": schema, "execution": { "taskSupport": "optional" },
            "annotations": { "title": "T", "readOnlyHint": true, "destructiveHint": false, "idempotentHint": true, "openWorldHint": false },
        }),
        "prompts" => {
            json!({ "arguments": [{ "name": "a", "title": "A", "description": "D", "required": true }] })
        }
        "resources" => json!({ "uri": "", "mimeType": "text/plain", "size": 5, "annotations": annotations }),
        _ => json!({ "uriTemplate": "", "mimeType": "text/plain", "annotations": annotations }),
    };
    full.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let key = match list {
        "resources" => "uri",
        "resourceTemplates" => "uriTemplate",
        _ => "name",
    };
    (full, key)
}

/// The pointers of all values within `value`.
fn pointers(value: &Value, at: &str, found: &mut Vec<String>) {
    found.push(at.to_owned());
    match value {
        Value::Object(members) => {
            members.iter().for_each(|(name, value)| {
                pointers(value, &format!("{at}/{}", name.replace('/', "~1")), found)
            });
        }
        Value::Array(items) => {
            items
                .iter()
                .enumerate()
                .for_each(|(index, value)| pointers(value, &format!("{at}/{index}"), found));
        }
        _ => {}
    }
}

/// `whole` without the member at `pointer`.
fn without(mut whole: Value, pointer: &str) -> Value {
    let (holder, name) = pointer.rsplit_once('/').unwrap();
    match whole.pointer_mut(holder).unwrap() {
        Value::Object(members) => drop(members.shift_remove(&name.replace("~1", "/"))),
        Value::Array(items) => drop(items.remove(name.parse().unwrap())),
        _ => unreachable!("a pointer leads through objects and lists"),
    }
    whole
}

/// Every form of a definition in which one value is missing, or one that it should not be.
fn odd_forms(list: &str) -> Vec<Value> {
    let (full, key) = full(list);
    let mut found = Vec::new();
    pointers(&full, "", &mut found);
    let wrong = [
        json!(null),
        json!(true),
        json!(false),
        json!(5),
        json!(-1.5),
        json!(1e300),
        json!(""),
        json!("\u{fffd}("),
        json!([]),
        json!([null]),
        json!([5]),
        json!(["x"]),
        json!({}),
        json!({ "x": null }),
        json!({ "id": 5, "$id": "urn:x" }),
        json!({ "nullable": true }),
    ];
    let mut forms = Vec::new();
    for pointer in found.iter().filter(|pointer| !pointer.is_empty()) {
        let mut put = |form: Value| {
            let (mut form, number) = (form, forms.len());
            // Told apart by what they are found by, where that is not what is odd.
            if form.get(key).is_some_and(|own| own == "") {
                form[key] =
                    if key == "name" { format!("t{number}").into() } else { format!("a://{number}/").into() };
            }
            if key != "name" && form.get("name").is_some_and(|name| name == "") {
                form["name"] = format!("t{number}").into();
            }
            forms.push(form);
        };
        put(without(full.clone(), pointer));
        for value in &wrong {
            let mut form = full.clone();
            *form.pointer_mut(pointer).unwrap() = value.clone();
            put(form);
        }
    }
    forms.extend([json!(null), json!(5), json!("x"), json!([]), json!({}), json!([{ "name": "nested" }])]);
    forms
}

/// What a reader says of the lists at `path`.
async fn read(interpreter: &Path, script: &str, gateway: &Gateway, path: &str, mode: &str) -> Value {
    let script: PathBuf = provisioned::root().join("tests/clients").join(script);
    let mut command = Command::new(interpreter);
    command.arg(script).args([&format!("http://{}{path}", gateway.address), mode]);
    let output = command.stdin(Stdio::null()).kill_on_drop(true).output().await.unwrap();
    assert!(output.status.success(), "{path} {mode}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[tokio::test]
async fn every_odd_form_of_every_member_is_read_by_the_official_sdks_and_hides_no_neighbour() {
    let (Some(node), Some(python), Some(first)) =
        (provisioned::newer_node(), provisioned::python(), provisioned::python_with_first_sdk())
    else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let [tools, prompts, resources, templates] = LISTS.map(odd_forms);
    let sent = [&tools, &prompts, &resources, &templates].map(Vec::len);
    assert!(sent.iter().all(|count| *count > 150), "{sent:?}");
    let odd = lists(&json!(tools), &json!(prompts), &json!(resources), &json!(templates));
    let config = json!({ "odd": listing(&folder, &odd), "good": listing(&folder, &good()) });
    let gateway = Gateway::serving(config).start().await;
    gateway.ready(&["odd", "good"]).await;
    let readers = [
        (&node, "mcp_lists.mjs", "first"),
        (&node, "mcp_lists.mjs", SESSIONS),
        (&node, "mcp_lists.mjs", STATELESS),
        (&python, "mcp_lists.py", SESSIONS),
        (&python, "mcp_lists.py", STATELESS),
        (&first, "mcp_lists.py", "first"),
    ];
    for path in ["/mcp", "/odd/mcp"] {
        let mut counts = Vec::new();
        for (interpreter, script, mode) in readers {
            let found = read(interpreter, script, &gateway, path, mode).await;
            let count =
                LISTS.map(|list| found[list].as_array().map(Vec::len).ok_or((list, found[list].clone())));
            assert!(count.iter().all(Result::is_ok), "{script} {mode} at {path}: {count:?}");
            counts.push(count.map(Result::unwrap));
            if path == "/mcp" {
                for (list, name) in LISTS.into_iter().zip(["good_hello", "good_hello", "hello", "hello"]) {
                    assert!(
                        found[list].as_array().unwrap().contains(&json!(name)),
                        "{script} {mode}: {list}"
                    );
                }
            }
        }
        // All see the same, and nearly all that was sent: what has no name, or nothing to find it by, is left out.
        assert!(counts.iter().all(|count| *count == counts[0]), "{path}: {counts:?}");
        for ((count, sent), list) in counts[0].iter().zip(sent).zip(LISTS) {
            assert!(sent - count <= 40, "{path}: of {sent} {list} {count} are listed");
        }
    }
}

/// The tools of a session at `path`, by name.
async fn tools_at(gateway: &Gateway, path: &str) -> Map<String, Value> {
    let tools = Session::open(gateway, path).await.result("tools/list", &json!({})).await["tools"].clone();
    let named = tools
        .as_array()
        .unwrap()
        .iter()
        .map(|tool| (tool["name"].as_str().unwrap().to_owned(), tool.clone()));
    named.collect()
}

#[tokio::test]
async fn a_tool_is_mended_in_lists_told_once_and_called_as_before_while_rest_documents_keep_what_was_sent() {
    let folder = tempfile::tempdir().unwrap();
    let arm = |name: &str| json!({ "type": "object", "properties": { name: { "type": "string" } }, "required": [name] });
    let tools = json!([
        { "name": "bare", "inputSchema": {}, "title": null },
        { "name": "union", "inputSchema": { "anyOf": [arm("id"), arm("slug")] } },
        { "name": "text", "inputSchema": { "type": "string", "properties": { "a": true } }, "title": null },
        { "name": "list", "inputSchema": { "type": "object", "properties": { "a": { "type": "array" } } }, "outputSchema": { "type": "array" } },
    ]);
    let said = lists(&tools, &json!([]), &json!([]), &json!([]));
    let gateway = Gateway::serving(json!({ "odd": listing(&folder, &said) })).start().await;
    gateway.ready(&["odd"]).await;
    for (path, prefix) in [("/mcp", "odd_"), ("/odd/mcp", "")] {
        let tools = tools_at(&gateway, path).await;
        let of = |name: &str| &tools[&format!("{prefix}{name}")];
        assert_eq!(
            *of("bare"),
            json!({ "name": format!("{prefix}bare"), "inputSchema": { "type": "object", "properties": {} } })
        );
        assert_eq!(
            of("union")["inputSchema"],
            json!({ "anyOf": [arm("id"), arm("slug")], "type": "object", "properties": {} })
        );
        assert_eq!(of("text")["inputSchema"], json!({ "type": "object", "properties": { "a": {} } }));
        assert_eq!(of("list").get("outputSchema"), None);
        let answer = stateless(gateway.ask("POST", path), "tools/list", &json!({})).send().await.ok();
        let tools = answer["result"]["tools"].as_array().unwrap().clone();
        let list = tools.iter().find(|tool| tool["name"] == format!("{prefix}list")).unwrap();
        assert_eq!(
            list["outputSchema"],
            json!({ "type": "array" }),
            "revision 2026-07-28 has results of any type"
        );
    }
    for line in [
        "odd: tool `bare`, `text`: `title` is null; clients get it without what is wrong",
        "odd: tool `bare`, `union`: `inputSchema.type` is missing; clients get it without what is wrong",
        "odd: tool `text`: `inputSchema.type` is no `object`",
        "odd: tool `text`: `inputSchema.properties.a` is no object",
        "odd: tool `list`: `outputSchema` is no schema of an object",
    ] {
        gateway.logged(line).await;
        assert_eq!(gateway.log().matches(line).count(), 1, "{line}");
    }
    // A schema that is no object's refuses no call.
    let answer = gateway.post("/odd/text", &json!({ "a": [1] })).await.ok();
    assert_eq!(answer, json!({ "a": [1] }));
    gateway.post("/odd/union", &json!({ "id": "x" })).await.ok();
    assert_eq!(gateway.post("/odd/union", &json!({})).await.status, 422);

    let document = gateway.get("/odd/openapi.json").await.ok();
    let form = |name: &str| &document["components"]["schemas"][format!("{name}_form_model")];
    assert_eq!(form("union")["anyOf"], json!([arm("id"), arm("slug")]));
    assert_eq!(
        form("union")["properties"],
        json!({ "id": { "type": "string" }, "slug": { "type": "string" } })
    );
    assert_eq!(form("list")["properties"]["a"], json!({ "type": "array", "items": {} }));
    let functions = gateway.get("/v1/tools").await.ok();
    for function in functions.as_array().unwrap() {
        let parameters = &function["function"]["parameters"];
        assert_eq!(parameters["type"], "object", "{function}");
        let properties = parameters["properties"].as_object().unwrap();
        assert!(properties.values().all(Value::is_object), "{function}");
    }
}

#[tokio::test]
async fn prompts_and_resources_are_mended_or_left_out_and_each_flaw_is_told_once_however_often_they_are_listed()
 {
    let folder = tempfile::tempdir().unwrap();
    let resources = json!([
        { "uri": "a://1", "size": "5", "x": 1.0 }, { "uri": "readme", "name": "r" }, { "name": "no uri" }, null, { "uri": "a://2", "name": "n" },
    ]);
    let mut said = lists(
        &json!([]),
        &json!([{ "name": "p", "arguments": null }, { "title": "P" }]),
        &resources,
        &json!([]),
    );
    said["resources/templates/list"] = json!({ "resourceTemplates": null, "nextCursor": null });
    let gateway = Gateway::serving(json!({ "odd": listing(&folder, &said) })).start().await;
    gateway.ready(&["odd"]).await;
    let (all, own) = (Session::open(&gateway, "/mcp").await, Session::open(&gateway, "/odd/mcp").await);
    for _ in 0..2 {
        let listed = all.result("resources/list", &json!({})).await;
        let mended = json!({ "uri": "mcpo://odd/a://1", "x": 1.0, "name": "a://1" });
        let readme = json!({ "uri": "mcpo://odd/readme", "name": "r" });
        assert_eq!(listed["resources"], json!([mended, readme, { "uri": "mcpo://odd/a://2", "name": "n" }]));
        let listed = own.result("resources/list", &json!({})).await;
        let mended = json!({ "uri": "a://1", "x": 1.0, "name": "a://1" });
        assert_eq!(listed, json!({ "resources": [mended, { "uri": "a://2", "name": "n" }] }));
        assert_eq!(names(&all.result("prompts/list", &json!({})).await["prompts"]), ["odd_p"]);
        assert_eq!(own.result("prompts/list", &json!({})).await, json!({ "prompts": [{ "name": "p" }] }));
        let templates = own.result("resources/templates/list", &json!({})).await;
        assert_eq!(templates, json!({ "resourceTemplates": [] }));
        assert_eq!(
            all.result("resources/templates/list", &json!({})).await,
            json!({ "resourceTemplates": [] })
        );
    }
    for line in [
        "odd: resource `a://1`: `size` is no whole number of bytes",
        "odd: resource `no uri`: `uri` is missing; it is left out of lists",
        "odd: resource `readme`: `uri` is no URI; it is left out of lists",
        "odd: resource `(an entry)`: `resources` is no list of objects; it is left out of lists",
        "odd: prompt `p`: `arguments` is null; clients get it without what is wrong",
        "odd: prompt ``: `name` is missing; it is left out of lists",
    ] {
        gateway.logged(line).await;
        assert_eq!(gateway.log().matches(line).count(), 1, "{line}:\n{}", gateway.log());
    }
}

#[tokio::test]
async fn half_an_emoji_anywhere_costs_nothing_but_itself() {
    let folder = tempfile::tempdir().unwrap();
    let mut said = good();
    let half = "page HALF";
    said["tools/list"]["tools"][0]["description"] = half.into();
    said["prompts/list"]["prompts"][0]["description"] = half.into();
    said["tools/call"] = json!({ "hello": { "content": [{ "type": "text", "text": half }], "structuredContent": { "t": half } } });
    let file = folder.path().join("said.json");
    std::fs::write(&file, said.to_string().replace("HALF", "\\ud83d")).unwrap();
    let server = servers::entry("listing_server.py", &[file.to_str().unwrap()]);
    let gateway = Gateway::serving(json!({ "odd": server })).start().await;
    gateway.ready(&["odd"]).await;
    let read = "page \u{fffd}";
    let session = Session::open(&gateway, "/mcp").await;
    assert_eq!(tools_at(&gateway, "/mcp").await["odd_hello"]["description"], read);
    assert_eq!(session.result("prompts/list", &json!({})).await["prompts"][0]["description"], read);
    let result = session.call("odd_hello", &json!({})).await;
    assert_eq!(
        (&result["content"][0]["text"], &result["structuredContent"]["t"]),
        (&json!(read), &json!(read))
    );
    assert_eq!(gateway.post("/odd/hello", &json!({})).await.ok(), read);
}

#[tokio::test]
async fn what_a_server_says_of_itself_is_mended_for_clients_of_its_own_endpoint() {
    let folder = tempfile::tempdir().unwrap();
    let mut said = good();
    said["initialize"] = json!({
        "serverInfo": { "name": "listing", "version": "1", "title": null, "icons": null, "x": 1 },
        "capabilities": { "tools": {}, "prompts": { "listChanged": null }, "logging": null, "resources": {} },
    });
    let gateway = Gateway::serving(json!({ "odd": listing(&folder, &said) })).start().await;
    gateway.ready(&["odd"]).await;
    let introduction = Session::open(&gateway, "/odd/mcp").await.introduction;
    assert_eq!(introduction["serverInfo"], json!({ "name": "listing", "version": "1", "x": 1 }));
    assert_eq!(
        introduction["capabilities"],
        json!({ "tools": { "listChanged": true }, "resources": {}, "prompts": {} })
    );
}
