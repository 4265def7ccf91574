//! Every group of tools of the quirk server comes up whole: odd names, odd schemas, templates, duplicates, pages.

use std::collections::BTreeMap;
use std::process::Command;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use crate::support::{Gateway, servers};

/// Arguments that the tool's schema takes, where `{}` is not enough.
fn arguments(tool: &str) -> Value {
    match tool {
        "echo" => json!({ "a": "x" }),
        "sleep" => json!({ "s": 0 }),
        "big" => json!({ "kb": 1 }),
        "env" => json!({ "k": "HOME" }),
        "progress" => json!({ "s": 0.01 }),
        "basic" => json!({ "s": "abc", "e": "x" }),
        "arr" => json!({ "strs": ["a"] }),
        "obj" => json!({ "o": { "a": "x" } }),
        "union" => json!({ "reqnull": null }),
        "defs" => json!({ "p": { "x": 1 } }),
        "rootany" => json!({ "a": "x" }),
        "under" => json!({ "_a": "x" }),
        "odd" => json!({ "with-dash": "x" }),
        "reqmissing" => json!({ "a": "x", "ghost": 1 }),
        _ => json!({}),
    }
}

/// Tools that end or stall their server, or ask the client for something; they are tried elsewhere.
const NOT_CALLED: [&str; 5] = ["crash", "exit0", "sample", "elicit", "roots"];

/// The tool names of every group, as the server itself defines them.
fn groups() -> BTreeMap<String, Vec<String>> {
    let list = "import json,runpy,sys,io\nsys.argv=['quirk',*[]]\nsys.stdin=io.StringIO('')\n\
                space=runpy.run_path(sys.orig_argv[-1])\n\
                print(json.dumps({g:[t['name'] for t in ts] for g,ts in space['G'].items()}))";
    let output =
        Command::new("python3").arg("-c").arg(list).arg(servers::script("quirk_server.py")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn encoded(segment: &str) -> String {
    utf8_percent_encode(segment, NON_ALPHANUMERIC).to_string()
}

/// What a tool is called in a path (product section 3.1).
fn exposed(tool: &str) -> String {
    if ["docs", "openapi.json", "mcp"].contains(&tool) { format!("{tool}_") } else { tool.to_owned() }
}

#[tokio::test]
async fn every_group_offers_all_its_tools_and_every_tool_answers() {
    let groups = groups();
    assert!(groups.len() >= 39, "{} groups", groups.len());
    let entries: serde_json::Map<String, Value> =
        groups.keys().map(|group| (group.clone(), servers::quirk(&[group.as_str()]))).collect();
    let gateway = Gateway::serving(Value::Object(entries)).start().await;
    let names: Vec<&str> = groups.keys().map(String::as_str).collect();
    gateway.ready(&names).await;

    let mut faults = Vec::new();
    for (group, tools) in &groups {
        let document = gateway.get(&format!("/{group}/openapi.json")).await.ok();
        let offered = document["paths"].as_object().unwrap().len();
        let distinct: std::collections::BTreeSet<&String> = tools.iter().collect();
        if offered != distinct.len() {
            faults.push(format!("{group}: {offered} of {} tools in the document", distinct.len()));
        }
        for tool in distinct.iter().filter(|tool| !NOT_CALLED.contains(&tool.as_str())).take(40) {
            let path = format!("/{group}/{}", encoded(&exposed(tool)));
            let answer = gateway.post(&path, &arguments(tool)).await;
            let wanted: &[u16] = match (group.as_str(), tool.as_str()) {
                ("errors", "e_parse" | "e_invalid_request") => &[400],
                ("errors", "e_method") => &[404],
                ("errors", "e_params" | "e_params_args") => &[422],
                ("errors", "not_object_result") => &[502],
                ("errors", _) => &[500],
                _ => &[200],
            };
            if !wanted.contains(&answer.status) {
                faults.push(format!("{path}: {} {}", answer.status, answer.text()));
            } else if answer.status == 200
                && answer.text().contains("\"tool\":")
                && answer.json()["tool"] != **tool
            {
                faults.push(format!("{path} called {}", answer.json()["tool"]));
            }
        }
    }
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}

#[tokio::test]
async fn a_tool_named_like_a_template_takes_no_other_tools_calls() {
    let gateway = Gateway::serving(json!({ "q": servers::quirk(&["name_brace2"]) })).start().await;
    gateway.ready(&["q"]).await;
    assert_eq!(gateway.post("/q/after", &json!({})).await.ok()["tool"], "after");
    assert_eq!(gateway.post("/q/%7Bx%7D", &json!({ "a": "1" })).await.ok()["tool"], "{x}");
    assert_eq!(gateway.post("/q/anything", &json!({})).await.status, 404);
}

#[tokio::test]
async fn of_two_tools_with_one_name_the_first_is_offered_and_called() {
    let gateway = Gateway::serving(json!({ "q": servers::quirk(&["dup"]) })).start().await;
    gateway.ready(&["q"]).await;
    let answer = gateway.post("/q/same", &json!({ "a": "x" })).await.ok();
    assert_eq!(answer["args"], json!({ "a": "x" }));
    let document = gateway.get("/q/openapi.json").await.ok();
    assert_eq!(document["paths"].as_object().unwrap().len(), 2);
    gateway.logged("two tools are named `same`").await;
}

#[tokio::test]
async fn names_that_clean_alike_are_called_apart() {
    let gateway = Gateway::serving(json!({ "q": servers::quirk(&["dup_us"]) })).start().await;
    gateway.ready(&["q"]).await;
    for tool in ["a-b", "a_b", "a.b"] {
        assert_eq!(gateway.post(&format!("/q/{tool}"), &json!({})).await.ok()["tool"], tool);
    }
    let document = gateway.get("/q/openapi.json").await.ok();
    let operations = document["paths"].as_object().unwrap().values();
    let ids: std::collections::BTreeSet<String> =
        operations.map(|path| path["post"]["operationId"].as_str().unwrap().to_owned()).collect();
    assert_eq!(ids.len(), 3, "{ids:?}");
}

#[tokio::test]
async fn numbers_beyond_floating_point_arrive_digit_for_digit() {
    let config = json!({ "content": servers::quirk(&["content"]), "behave": servers::quirk(&["s_noprops"]) });
    let gateway = Gateway::serving(config).start().await;
    gateway.ready(&["content", "behave"]).await;
    let answer = gateway.post("/content/text_bigint", &json!({})).await;
    assert_eq!(answer.text(), "123456789012345678901234567890");
    let body = r#"{"n": 123456789012345678901234567890, "f": 1.0}"#;
    let ask = gateway.ask("POST", "/behave/addl").header("Content-Type", "application/json").body(body);
    let answer = ask.send().await;
    assert_eq!(answer.status, 200);
    assert!(answer.text().contains("123456789012345678901234567890"), "{}", answer.text());
    assert!(answer.text().contains("1.0"), "{}", answer.text());
}

#[tokio::test]
async fn entries_that_are_no_proper_tools_take_nothing_from_their_neighbours() {
    let gateway = Gateway::serving(json!({ "s": servers::scripted(&["--tools-odd"]) })).start().await;
    gateway.ready(&["s"]).await;
    let document = gateway.get("/s/openapi.json").await.ok();
    for tool in ["echo", "pid", "environment"] {
        assert!(document["paths"].get(format!("/{tool}")).is_some(), "{tool} is gone: {}", document["paths"]);
    }
    assert_eq!(
        gateway.post("/s/echo", &json!({ "value": 1 })).await.ok()["arguments"],
        json!({ "value": 1 })
    );
    // A tool without a schema takes any arguments.
    let bare = gateway.post("/s/bare", &json!({ "any": "thing" })).await.ok();
    assert_eq!(bare["arguments"], json!({ "any": "thing" }));
}
