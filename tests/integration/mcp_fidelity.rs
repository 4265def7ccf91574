//! What a client receives through `/{server}/mcp` is what it receives from the server itself: every list entry, resource,
//! template, prompt and completion, and the results of calls, as JSON.
//!
//! What differs is `DIFFERENCES` and `STATELESS_ADDITIONS`, each with its reason; a line that fits nothing fails, too.

use serde_json::{Value, json};

use crate::support::mcp::{Direct, Session, introduction, stateless};
use crate::support::{Gateway, provisioned};

/// What differs between the server's own answer and the gateway's, and why.
const DIFFERENCES: &[(&str, &str, &str)] = &[
    ("everything", "tools/call no-such-tool", UNKNOWN_TOOL),
    ("memory", "tools/call no-such-tool", UNKNOWN_TOOL),
    (
        "conformance",
        "tools/call no-such-tool",
        "the gateway knows the tools and refuses others itself, in words of its own",
    ),
];

const UNKNOWN_TOOL: &str = "the gateway knows the tools and refuses others with the error that the specification has for it; \
     this server makes a result of it";

/// What of a server's capabilities the gateway does not declare, and why.
const CAPABILITIES_LOST: &[(&str, &str)] = &[(
    "tasks",
    "a task outlives the request that began it; the gateway carries requests and their answers only",
)];

/// What the gateway adds to a result for a client without a session, and why.
const STATELESS_ADDITIONS: &[(&str, &str)] = &[
    ("resultType", "each result of 2026-07-28 has it"),
    ("ttlMs", "the results of 2026-07-28 that may be kept have it"),
    ("cacheScope", "the results of 2026-07-28 that may be kept have it"),
];

/// Where a server of 2026-07-28 says in each result which one it is.
const SERVER_INFO: &str = "io.modelcontextprotocol/serverInfo";

/// Calls whose results depend on nothing but their arguments.
fn sample_calls(server: &str) -> Vec<(&'static str, Value)> {
    let mut calls = match server {
        "everything" => vec![
            ("echo", json!({ "message": "hé\u{2028}llo \u{1F600}" })),
            ("echo", json!({})),
            ("get-annotated-message", json!({ "messageType": "error", "includeImage": true })),
            ("get-annotated-message", json!({ "messageType": "none of these" })),
            ("get-resource-links", json!({ "count": 3 })),
            ("get-resource-reference", json!({ "resourceType": "Text", "resourceId": 1 })),
            ("get-structured-content", json!({ "location": "New York" })),
            ("get-sum", json!({ "a": 0.1, "b": 0.2 })),
            ("get-sum", json!({ "a": 1e300, "b": 1e300 })),
            ("get-tiny-image", json!({})),
            ("trigger-long-running-operation", json!({ "duration": 0.1, "steps": 2 })),
        ],
        "time" => vec![
            (
                "convert_time",
                json!({ "source_timezone": "UTC", "time": "12:00", "target_timezone": "Asia/Tokyo" }),
            ),
            ("convert_time", json!({ "source_timezone": "UTC", "time": "99:00", "target_timezone": "UTC" })),
        ],
        "conformance" => vec![
            ("test_simple_text", json!({})),
            ("test_image_content", json!({})),
            ("test_audio_content", json!({})),
            ("test_embedded_resource", json!({})),
            ("test_multiple_content_types", json!({})),
            ("test_error_handling", json!({})),
            ("json_schema_2020_12_tool", json!({ "phone": "1", "contactMethod": "phone" })),
            ("test_x_mcp_header", json!({ "level": 1 })),
        ],
        "memory" => vec![
            (
                "create_entities",
                json!({ "entities": [{ "name": "Ada", "entityType": "person", "observations": ["counts"] }] }),
            ),
            ("read_graph", json!({})),
            ("search_nodes", json!({ "query": "Ada" })),
            ("open_nodes", json!({ "names": ["Ada", "Grace"] })),
        ],
        _ => panic!("no calls for {server}"),
    };
    calls.push(("no-such-tool", json!({})));
    calls
}

/// Two ways to the same server: the answers are compared one by one.
struct Comparison<'a> {
    gateway: &'a Gateway,
    server: &'static str,
    direct: Direct,
    session: Session,
    compared: usize,
    /// The lines of `DIFFERENCES` that fitted.
    used: Vec<&'static str>,
    faults: Vec<String>,
}

#[tokio::test]
async fn everything_that_server_everything_offers_is_received_as_from_the_server_itself() {
    let Some(entry) = provisioned::node_entry("mcp-server-everything") else { return };
    compare("everything", &entry, &entry, 100).await;
}

#[tokio::test]
async fn everything_that_the_time_server_offers_is_received_as_from_the_server_itself() {
    let Some(entry) = provisioned::time() else { return };
    // It speaks both eras; the gateway would choose the newer one.
    let mut pinned = entry.clone();
    pinned["protocol"] = json!("2025-11-25");
    compare("time", &entry, &pinned, 4).await;
}

#[tokio::test]
async fn everything_that_the_time_server_offers_without_a_session_is_received_as_from_the_server_itself() {
    let Some(entry) = provisioned::time() else { return };
    compare_with("time", Direct::without_session(&entry).await, &entry, 4).await;
}

#[tokio::test]
async fn everything_that_a_stateless_server_offers_is_received_as_from_the_server_itself() {
    let Some(node) = provisioned::newer_node() else { return };
    let program = provisioned::root().join("tests/conformance/upstream.mjs");
    let entry = json!({ "command": node, "args": [program, "modern", "stdio"] });
    compare_with("conformance", Direct::without_session(&entry).await, &entry, 60).await;
}

#[tokio::test]
async fn everything_that_the_memory_server_offers_is_received_as_from_the_server_itself() {
    let Some(entry) = provisioned::node_entry("mcp-server-memory") else { return };
    // Each of the two servers keeps its own file, so that both begin empty.
    let folder = tempfile::tempdir().unwrap();
    let with = |name: &str| {
        let mut entry = entry.clone();
        entry["env"] = json!({ "MEMORY_FILE_PATH": folder.path().join(name) });
        entry
    };
    compare("memory", &with("direct.jsonl"), &with("gateway.jsonl"), 20).await;
}

#[tokio::test]
async fn a_server_that_offers_more_to_a_client_that_can_be_asked_does_so_through_the_gateway() {
    let Some(entry) = provisioned::node_entry("mcp-server-everything") else { return };
    let mut able = introduction("2025-11-25");
    able["capabilities"] = json!({ "elicitation": { "form": {}, "url": {} }, "sampling": {} });
    let gateway = Gateway::serving(json!({ "everything": entry })).start().await;
    gateway.ready(&["everything"]).await;
    let session = Session::introduced(gateway.ask("POST", "/everything/mcp"), &able).await;
    let mut direct = Direct::introduced(&entry, &able).await;
    let plain = Session::open(&gateway, "/everything/mcp").await;
    assert_eq!(session.tools().await, plain.tools().await, "until its first call");
    let mut stream = session.stream(&gateway, "/everything/mcp").await;
    session.heard(&gateway, "/everything/mcp", "echo", &json!({ "message": "x" })).await;
    stream.message("notifications/tools/list_changed").await;
    for method in ["tools/list", "resources/list", "prompts/list"] {
        let there = direct.answer(method, &json!({})).await;
        assert_eq!(session.result(method, &json!({})).await, there["result"], "{method}");
    }
    let (more, fewer) = (session.tools().await, plain.tools().await);
    assert!(more.len() > fewer.len() && fewer.iter().all(|name| more.contains(name)), "{more:?} {fewer:?}");
}

async fn compare(server: &'static str, direct: &Value, through: &Value, least: usize) {
    compare_with(server, Direct::start(direct).await, through, least).await;
}

async fn compare_with(server: &'static str, direct: Direct, through: &Value, least: usize) {
    let gateway = Gateway::serving(json!({ server: through })).start().await;
    gateway.ready(&[server]).await;
    let session = Session::open(&gateway, &format!("/{server}/mcp")).await;
    let mut comparison = Comparison {
        gateway: &gateway,
        server,
        direct,
        session,
        compared: 0,
        used: Vec::new(),
        faults: Vec::new(),
    };
    comparison.introductions();
    comparison.offers().await;
    for (tool, arguments) in sample_calls(server) {
        comparison.answers("tools/call", &json!({ "name": tool, "arguments": arguments }), tool).await;
    }
    assert!(comparison.faults.is_empty(), "{server} differs:\n{}", comparison.faults.join("\n"));
    assert!(comparison.compared >= least, "only {} things were compared", comparison.compared);
    for (_, what, reason) in DIFFERENCES.iter().filter(|(name, _, _)| *name == server) {
        assert!(comparison.used.contains(what), "{server}: {what} does not differ any more ({reason})");
    }
}

impl Comparison<'_> {
    fn introductions(&mut self) {
        let mut own = self.direct.introduction.clone();
        if self.direct.stateless {
            own["serverInfo"] = own["_meta"][SERVER_INFO].clone();
            own["protocolVersion"] = json!("2025-11-25");
        }
        for (lost, _) in CAPABILITIES_LOST {
            own["capabilities"].as_object_mut().unwrap().shift_remove(*lost);
        }
        // Another process of the server may offer other tools: the gateway tells so, whether the server would or not.
        own["capabilities"]["tools"]["listChanged"] = json!(true);
        for key in ["protocolVersion", "serverInfo", "instructions", "capabilities"] {
            let here = without_false(self.session.introduction[key].clone());
            self.same(&format!("{key} of initialize"), &here, &without_false(own[key].clone()));
        }
    }

    /// All lists, and all that they name.
    async fn offers(&mut self) {
        let (capabilities, server) = (self.direct.introduction["capabilities"].clone(), self.server);
        for (capability, method, list) in [
            ("tools", "tools/list", "tools"),
            ("resources", "resources/list", "resources"),
            ("resources", "resources/templates/list", "resourceTemplates"),
            ("prompts", "prompts/list", "prompts"),
        ] {
            let there = self.answers(method, &json!({}), "").await;
            if capabilities.get(capability).is_none() {
                continue;
            }
            let entries = there["result"][list].as_array().cloned();
            let entries = entries.unwrap_or_else(|| panic!("{server}: {method} gives {there}"));
            self.compared += entries.len();
            for entry in entries {
                self.offer(list, &entry).await;
            }
        }
        self.answers("resources/read", &json!({ "uri": "demo://no/such" }), "demo://no/such").await;
        self.answers("prompts/get", &json!({ "name": "no-such-prompt" }), "no-such-prompt").await;
    }

    /// What one entry of a list names.
    async fn offer(&mut self, list: &str, entry: &Value) {
        match list {
            "resources" => {
                let uri = entry["uri"].as_str().unwrap();
                self.answers("resources/read", &json!({ "uri": uri }), uri).await;
            }
            "resourceTemplates" => {
                let template = entry["uriTemplate"].as_str().unwrap();
                let (head, tail) = (template.split('{').next().unwrap(), template.split('}').nth(1).unwrap());
                let uri = format!("{head}1{tail}");
                self.answers("resources/read", &json!({ "uri": uri }), &uri).await;
                let name = template.split(['{', '}']).nth(1).unwrap();
                let reference = json!({ "type": "ref/resource", "uri": template });
                self.completion(&reference, name).await;
            }
            "prompts" => {
                let name = entry["name"].as_str().unwrap();
                if name.contains("input_required") {
                    // It asks back, which other tests are about.
                    return;
                }
                let mut params = json!({ "name": name });
                for argument in entry["arguments"].as_array().into_iter().flatten() {
                    let argument = argument["name"].as_str().unwrap();
                    params["arguments"][argument] = json!("1");
                    self.completion(&json!({ "type": "ref/prompt", "name": name }), argument).await;
                }
                self.answers("prompts/get", &params, name).await;
                self.answers("prompts/get", &json!({ "name": name }), name).await;
            }
            _ => {}
        }
    }

    async fn completion(&mut self, reference: &Value, argument: &str) {
        let params = json!({ "ref": reference, "argument": { "name": argument, "value": "" } });
        self.answers("completion/complete", &params, argument).await;
    }

    /// Asks the server itself, and the gateway with and without a session; gives the server's own answer.
    async fn answers(&mut self, method: &str, params: &Value, what: &str) -> Value {
        let path = format!("/{}/mcp", self.server);
        let mut there = Value::Null;
        for era in ["with a session", "stateless"] {
            let mut here = without_times(if era == "stateless" {
                stateless(self.gateway.ask("POST", &path), method, params).send().await.json()
            } else {
                self.session.answer(method, params).await.ok()
            });
            // Asked as often as the gateway: a call may change what the next one finds.
            there = without_times(self.direct.answer(method, params).await);
            if self.direct.stateless && era == "stateless" && method == "tools/list" {
                // The gateway gives the list of its catalog, which its caller may keep for a shorter time only.
                self.kept_no_longer(&here["result"], &there["result"]);
                for answer in [&mut here, &mut there] {
                    remove_additions(answer);
                    remove_server_info(answer);
                }
            }
            if self.direct.stateless != (era == "stateless") {
                let newer = if self.direct.stateless { &mut there } else { &mut here };
                remove_additions(newer);
                // Information about the server harms no client.
                for answer in [&mut here, &mut there] {
                    remove_server_info(answer);
                }
            }
            self.compared += 1;
            let place = format!("{method} {what}");
            let differs =
                DIFFERENCES.iter().find(|(server, what, _)| *server == self.server && *what == place);
            if let Some((_, what, _)) = differs {
                if here.get("result") != there.get("result") || here["error"] != there["error"] {
                    self.used.push(what);
                }
                continue;
            }
            let place = format!("{method} {params} {era}");
            self.same(&place, &here["result"], &there["result"]);
            self.same(&place, &here["error"], &there["error"]);
        }
        there
    }

    /// Holds how long and by whom a list may be kept to what the server said of it.
    fn kept_no_longer(&mut self, here: &Value, there: &Value) {
        let (time, scope) = (here["ttlMs"].as_u64(), here["cacheScope"].as_str());
        if time > there["ttlMs"].as_u64() || (there["cacheScope"] == "private" && scope != Some("private")) {
            self.faults.push(format!("tools/list is kept longer or by more: gateway {here}, server {there}"));
        }
    }

    fn same(&mut self, place: &str, here: &Value, there: &Value) {
        if here != there {
            self.faults.push(format!("{place}:\n  gateway {here}\n  server  {there}"));
        }
    }
}

/// Removes from an answer what only 2026-07-28 has.
fn remove_additions(answer: &mut Value) {
    if let Some(result) = answer.get_mut("result").and_then(Value::as_object_mut) {
        for (key, _) in STATELESS_ADDITIONS {
            result.shift_remove(*key);
        }
    }
}

fn remove_server_info(answer: &mut Value) {
    let Some(result) = answer.get_mut("result").and_then(Value::as_object_mut) else { return };
    if let Some(meta) = result.get_mut("_meta").and_then(Value::as_object_mut) {
        meta.shift_remove(SERVER_INFO);
        if meta.is_empty() {
            result.shift_remove("_meta");
        }
    }
}

/// Without the capabilities that are declared as not there, which says what leaving them out does.
fn without_false(value: Value) -> Value {
    match value {
        Value::Object(entries) => {
            let there = entries.into_iter().filter(|(_, value)| value != &Value::Bool(false));
            there.map(|(key, value)| (key, without_false(value))).collect()
        }
        other => other,
    }
}

/// Without the time of day that server-everything writes into what it makes on demand.
fn without_times(value: Value) -> Value {
    match value {
        Value::String(text) => match text.split_once("created at ") {
            Some((head, _)) => Value::String(head.to_owned()),
            None => Value::String(text),
        },
        Value::Array(values) => values.into_iter().map(without_times).collect(),
        Value::Object(entries) => {
            entries.into_iter().map(|(key, value)| (key, without_times(value))).collect()
        }
        other => other,
    }
}
