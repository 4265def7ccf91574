//! The OpenAI form: lists that go into OpenAI's SDK as they are, and answers to a model's calls.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{Gateway, provisioned, servers};

const PLAIN: &str = "plain-key-1234567890";
const READER: &str = "reader-key-1234567890";

/// A script with OpenAI's SDK, whose model makes `calls`; gives what the model was sent in the end.
async fn script(gateway: &Gateway, interface: &str, strict: bool, calls: &Value) -> Option<Value> {
    let python = provisioned::python()?;
    let mut command = tokio::process::Command::new(python);
    command.arg(provisioned::root().join("tests/clients/openai_sdk.py"));
    command.args([
        &format!("http://{}", gateway.address),
        interface,
        &strict.to_string(),
        &calls.to_string(),
    ]);
    command.args(gateway.key());
    let output = command.output().await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(serde_json::from_slice(&output.stdout).unwrap())
}

/// The official SDK's server of `tests/servers/shop_server.py`, in a version.
pub fn shop(version: &str) -> Option<Value> {
    let script = servers::script("shop_server.py");
    Some(json!({ "command": provisioned::python()?, "args": [script, version] }))
}

/// The answer to one call of Chat Completions.
async fn answered(gateway: &Gateway, name: &str, arguments: &str) -> String {
    let call = json!({ "id": "c", "type": "function", "function": { "name": name, "arguments": arguments } });
    let answers = gateway.post("/v1/tools/call", &json!([call])).await.ok();
    assert_eq!((&answers[0]["role"], &answers[0]["tool_call_id"]), (&json!("tool"), &json!("c")));
    answers[0]["content"].as_str().unwrap().to_owned()
}

fn names(list: &Value) -> Vec<&str> {
    let name = |tool: &'_ Value| tool.get("function").unwrap_or(tool)["name"].as_str().map(str::to_owned);
    let names = list.as_array().unwrap().iter().map(|tool| name(tool).unwrap());
    names.map(|name| &*name.leak()).collect()
}

fn shop_calls() -> Value {
    json!([
        ["shop_find", r#"{"text": "é", "limit": null, "colour": "red"}"#],
        [
            "shop_order",
            r#"{"order": {"lines": [{"article": "a", "count": null}], "express": null}, "note": null}"#
        ],
        ["shop_prices", r#"{"of": {"a": 1, "b": 2}}"#],
        ["shop_picture", ""],
        ["shop_fail", "{}"],
        ["shop_order", r#"{"order": {"lines": [{}]}, "note": "too long"}"#],
        ["shop_find", "{\"text\": "],
        ["shop_fnd", "{}"]
    ])
}

#[tokio::test]
async fn a_script_with_the_sdk_passes_tools_calls_and_answers_through_as_they_are() {
    let Some(shop) = shop("1") else { return };
    let gateway = Gateway::serving(json!({ "shop": shop })).flag("--api-key", PLAIN).start().await;
    gateway.listed(&["shop"]).await;
    let Some(chat) = script(&gateway, "chat", true, &shop_calls()).await else { return };
    let answers: Vec<&str> = chat["sent"].as_array().unwrap()[2..]
        .iter()
        .map(|message| message["content"].as_str().unwrap())
        .collect();
    assert_eq!(answers[..3], ["é 10 red", "[('a', 1)] False none", "3"]);
    assert_eq!(answers[3], "red\ndata:image/png;base64,iVBORw0KGgo=");
    assert_eq!(answers[4], "Error executing tool fail", "the tool's own words");
    assert_eq!(
        answers[5],
        "Error: shop: the arguments do not fit the tool's schema: invalid arguments: \
         order.lines[0].article: Field required; note: String should have at most 5 characters"
    );
    assert_eq!(answers[6], "Error: shop: the arguments are not valid JSON: Expecting value");
    assert_eq!(answers[7], "Error: there is no tool `shop_fnd`; did you mean `shop_find`?");

    let strict = |tools: &Value, name: &str| -> Value {
        let tools = tools.as_array().unwrap();
        let found = tools.iter().map(|tool| tool.get("function").unwrap_or(tool));
        found.filter(|tool| tool["name"] == name).map(|tool| tool["strict"].clone()).next().unwrap()
    };
    assert_eq!(strict(&chat["tools"], "shop_order"), true);
    assert_eq!(strict(&chat["tools"], "shop_prices"), false, "a free-form map");
    assert_eq!(chat["tools"][0]["function"]["parameters"]["required"], json!(["text", "limit", "colour"]));

    let responses = script(&gateway, "responses", true, &shop_calls()).await.unwrap();
    let outputs: Vec<&Value> = responses["sent"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|item| item["type"] == "function_call_output")
        .map(|item| &item["output"])
        .collect();
    assert_eq!(outputs.len(), 8);
    for (index, answer) in answers.iter().enumerate().filter(|(index, _)| *index != 3) {
        assert_eq!(outputs[index], answer);
    }
    assert_eq!(
        *outputs[3],
        json!([
            { "type": "input_text", "text": "red" },
            { "type": "input_image", "image_url": "data:image/png;base64,iVBORw0KGgo=", "detail": "auto" }
        ])
    );
    assert_eq!(strict(&responses["tools"], "shop_order"), true);
    gateway.logged("shop/order bad_arguments").await;
}

#[tokio::test]
async fn schemas_that_are_not_asked_to_be_strict_are_the_servers_own() {
    let Some(shop) = shop("1") else { return };
    let gateway = Gateway::serving(json!({ "shop": shop })).start().await;
    gateway.listed(&["shop"]).await;
    let document = gateway.get("/shop/find").await;
    assert_eq!(document.status, 405);
    let calls = json!([["shop_find", r#"{"text": "a"}"#]]);
    let Some(chat) = script(&gateway, "chat", false, &calls).await else { return };
    assert_eq!(chat["sent"][2]["content"], "a 10 None");
    let find = &chat["tools"][0]["function"];
    assert!(find.get("strict").is_none(), "{find}");
    assert_eq!(find["parameters"]["properties"]["limit"]["default"], 10);
    assert_eq!(find["parameters"]["required"], json!(["text"]));
    let responses = script(&gateway, "responses", false, &calls).await.unwrap();
    assert_eq!(responses["tools"][0]["strict"], false, "Responses takes strict for granted");
}

#[tokio::test]
async fn calls_of_one_turn_run_side_by_side_and_are_answered_in_their_order() {
    let gateway = Gateway::serving(
        json!({ "a": servers::scripted(&[]), "b": servers::scripted(&["--start", "exit"]) }),
    )
    .start()
    .await;
    gateway.listed(&["a"]).await;
    let slow = |id: usize, seconds: f64| {
        let arguments = json!({ "seconds": seconds }).to_string();
        json!({ "id": format!("c{id}"), "type": "function", "function": { "name": "a_slow", "arguments": arguments } })
    };
    let calls: Vec<Value> =
        [1.0, 0.9, 0.8, 0.7, 0.6, 0.5].iter().enumerate().map(|(id, s)| slow(id, *s)).collect();
    let began = Instant::now();
    let answers = gateway.post("/v1/tools/call", &json!(calls)).await.ok();
    assert!(began.elapsed() < Duration::from_secs(3), "4.5 s one after the other: {:?}", began.elapsed());
    let ids: Vec<&Value> = answers.as_array().unwrap().iter().map(|answer| &answer["tool_call_id"]).collect();
    assert_eq!(ids, ["c0", "c1", "c2", "c3", "c4", "c5"]);
}

#[tokio::test]
async fn a_call_that_fails_tells_the_model_and_harms_no_other() {
    let config = json!({
        "mcpServers": {
            "a": servers::scripted(&[]),
            "q": servers::quirk(&["errors", "s_basic"]),
            "off": { "command": "true", "disabled": true }
        },
        "limits": { "resultBytes": 100_000 }, "timeout": 5
    });
    let gateway = Gateway::with(config).start().await;
    gateway.listed(&["a", "q"]).await;
    let call = |name: &str, arguments: &str| json!({ "id": name, "function": { "name": name, "arguments": arguments } });
    let big = |bytes: usize| json!({ "bytes": bytes }).to_string();
    let calls = json!([
        call("a_echo", r#"{"value": 1}"#),
        call("q_e_custom", "{}"),
        call("q_iserr_empty", "{}"),
        call("q_not_object_result", "{}"),
        call("a_big", &big(200_000)),
        call("a_big", &big(70_000)),
        call("a_big", &big(70_000)),
        { "id": "x", "type": "custom", "custom": { "name": "a_echo", "input": "text" } },
        call("q_basic", r#"{"s": 1, "e": "z", "x": 1}"#),
        call("off_tool", "{}"),
        call("a_echo", "[1]"),
        call("a_echo", ""),
    ]);
    let answers = gateway.post("/v1/tools/call", &calls).await.ok();
    let said: Vec<&str> =
        answers.as_array().unwrap().iter().map(|answer| answer["content"].as_str().unwrap()).collect();
    assert!(said[0].contains("\"value\"") && said[11].contains("echo"), "{} {}", said[0], said[11]);
    for (index, part) in [
        (1, "Error: q: msg for e_custom"),
        (2, "Error: the tool failed"),
        (3, "Error: q: the server's answer is not a tool result"),
        (4, "Error: a: "),
        (7, "there are no custom tools here"),
        (8, "Error: q: the arguments do not fit the tool's schema"),
        (9, "there is no tool `off_tool`"),
        (10, "Input should be a valid dictionary"),
    ] {
        assert!(said[index].contains(part), "{index}: {}", said[index]);
    }
    let large = said[5..7].iter().filter(|text| text.len() >= 70_000).count();
    let refused = said[5..7].iter().filter(|text| text.contains("larger than 100000 bytes together")).count();
    assert_eq!((large, refused), (1, 1), "both fit alone, and not together");
}

#[tokio::test]
async fn lists_are_prebuilt_for_each_scope_and_can_be_of_some_servers() {
    let config = json!({
        "mcpServers": { "a": servers::scripted(&["--tools-read-only", "look"]), "b b": servers::quirk(&["names_odd"]) },
        "profiles": { "some": { "tools": ["a_*o*"] } },
        "apiKeys": { "plain": PLAIN, "reader": { "key": READER, "readOnly": true, "servers": ["a"] } }
    });
    let gateway = Gateway::with(config).start().await;
    let ask =
        |path: &str, key: &str| gateway.ask("GET", path).header("Authorization", &format!("Bearer {key}"));
    let whole = ask("/v1/tools", PLAIN).send().await;
    let list = whole.ok();
    let all = names(&list);
    assert!(all.contains(&"a_echo") && all.len() > 12, "the list waits for the servers: {all:?}");
    let fits = |name: &str| {
        (1..=64).contains(&name.len())
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
    };
    assert!(all.iter().all(|name| fits(name)), "{all:?}");
    assert_eq!(names(&ask("/v1/tools", READER).send().await.ok()), ["a_look"]);
    assert_eq!(
        (whole.header("vary"), whole.header("content-type")),
        (Some("Authorization"), Some("application/json"))
    );
    let etag = whole.header("etag").unwrap();
    assert_eq!(ask("/v1/tools", PLAIN).header("If-None-Match", etag).send().await.status, 304);
    assert_eq!(ask("/v1/tools?strict=true", PLAIN).header("If-None-Match", etag).send().await.status, 200);
    let some = ask("/v1/tools?server=b%20b", PLAIN).send().await.ok();
    assert_eq!(names(&some).len(), 8);
    let both = ask("/v1/tools?server=b%20b&server=a&server=a", PLAIN).send().await.ok();
    assert_eq!(both.as_array().unwrap().len(), all.len());
    let head = ask("/v1/tools", PLAIN);
    let head = gateway
        .ask("HEAD", "/v1/tools")
        .header("Authorization", &format!("Bearer {PLAIN}"))
        .send()
        .await
        .status
        + head.send().await.status;
    assert_eq!(head, 400);

    let narrowed = ask("/v1/tools?profile=some", PLAIN).send().await.ok();
    assert!(names(&narrowed).iter().all(|name| name.starts_with("a_") && name.contains('o')), "{narrowed}");
    assert!(names(&narrowed).contains(&"a_echo"));
    assert_eq!(ask("/v1/tools?profile=no", PLAIN).send().await.status, 404);
    let call = json!([{ "id": "c", "function": { "name": "a_pid", "arguments": "{}" } }]);
    let narrowed = gateway
        .ask("POST", "/v1/tools/call?profile=some")
        .header("Authorization", &format!("Bearer {PLAIN}"));
    let hidden = narrowed.json(&call).send().await.ok();
    assert!(
        hidden[0]["content"].as_str().unwrap().starts_with("Error: there is no tool `a_pid`"),
        "{hidden}"
    );

    assert_eq!(ask("/v1/tools?server=b%20b", READER).send().await.status, 404);
    assert_eq!(ask("/v1/tools?server=no", PLAIN).send().await.status, 404);
    assert_eq!(gateway.ask("GET", "/v1/tools").send().await.status, 401);
    assert_eq!(ask("/v1/tools", "wrong").send().await.status, 403);
    let reader = gateway.ask("POST", "/v1/tools/call").header("Authorization", &format!("Bearer {READER}"));
    let call = json!([{ "id": "c", "function": { "name": "a_echo", "arguments": "{}" } }]);
    let hidden = reader.json(&call).send().await.ok();
    assert!(
        hidden[0]["content"].as_str().unwrap().starts_with("Error: there is no tool `a_echo`"),
        "{hidden}"
    );
}

#[tokio::test]
async fn long_descriptions_are_whole_unless_short_ones_are_asked_for() {
    let Some(entry) = provisioned::node_entry("context7-mcp") else { return };
    let gateway = Gateway::serving(json!({ "docs7": entry })).start().await;
    gateway.listed(&["docs7"]).await;
    let length = async |path: &str| {
        let list = gateway.get(path).await.ok();
        list[0]["function"]["description"].as_str().unwrap().chars().count()
    };
    assert!(length("/v1/tools").await > 1024);
    assert_eq!(length("/v1/tools?descriptions=short").await, 1024);
}

#[tokio::test]
async fn a_request_that_cannot_be_answered_is_refused_before_anything_runs() {
    let log = tempfile::NamedTempFile::new().unwrap();
    let scripted = servers::scripted(&["--log", log.path().to_str().unwrap()]);
    let gateway = Gateway::serving(json!({ "a": scripted })).start().await;
    gateway.listed(&["a"]).await;
    let good = json!({ "id": "c", "function": { "name": "a_echo", "arguments": "{}" } });
    for (body, part) in [
        (json!([good, { "function": { "name": "a_echo" } }]), "item 1 is no tool call: it lacks `id`"),
        (json!({ "messages": [] }), "holds no tool calls"),
    ] {
        let answer = gateway.post("/v1/tools/call", &body).await;
        assert_eq!((answer.status, answer.header("x-mcpo-error")), (400, Some("bad_tool_calls")));
        assert!(answer.text().contains(part), "{}", answer.text());
    }
    assert_eq!(gateway.post("/v1/tools/call", &json!([])).await.ok(), json!([]));
    let form = gateway
        .ask("POST", "/v1/tools/call")
        .header("Content-Type", "text/plain")
        .body(json!([good]).to_string());
    assert_eq!(form.send().await.status, 415);
    assert_eq!(gateway.get("/v1/tools/call").await.status, 405);
    assert_eq!(gateway.post("/v1/tools", &json!([])).await.status, 405);
    assert_eq!(gateway.get("/v1/tools?stict=true").await.status, 400);
    assert_eq!(gateway.get("/v1/models").await.status, 404);
    assert!(!std::fs::read_to_string(log.path()).unwrap().contains("tools/call"));
    assert!(answered(&gateway, "a_echo", "{}").await.contains("echo"));
}

#[tokio::test]
async fn the_form_stands_under_the_path_prefix_and_in_single_server_mode_too() {
    let config = json!({ "mcpServers": { "a": servers::scripted(&[]) }, "pathPrefix": "/tools" });
    let gateway = Gateway::with(config).start().await;
    gateway.ready(&["a"]).await;
    for path in ["/v1/tools", "/tools/v1/tools", "/v1/tools/"] {
        assert!(names(&gateway.get(path).await.ok()).contains(&"a_echo"), "{path}");
    }
    let script = servers::script("scripted_server.py");
    let single = Gateway::bare().command(&["python3", script.to_str().unwrap()]).start().await;
    let list = single.get("/v1/tools").await.ok();
    let echo = names(&list).into_iter().find(|name| name.ends_with("echo")).unwrap();
    assert!(answered(&single, echo, "{}").await.contains("echo"));
}
