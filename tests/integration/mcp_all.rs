//! Prompts, resources and completion of all servers at one endpoint: under which names they stand there, that they
//! reach the one server that has them, and that a server that fails takes nobody's away.

use serde_json::{Value, json};

use crate::support::mcp::{Direct, Session, names, stateless};
use crate::support::{Gateway, provisioned, servers};

fn offering(options: &[&str]) -> Value {
    servers::entry("offering_server.py", options)
}

/// Every `uri` of `value` under the name of `server`.
fn under(server: &str, mut value: Value) -> Value {
    fn visit(server: &str, value: &mut Value) {
        match value {
            Value::Object(members) => {
                for (key, value) in members {
                    match value {
                        Value::String(uri) if key == "uri" => *uri = format!("mcpo://{server}/{uri}"),
                        _ => visit(server, value),
                    }
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| visit(server, item)),
            _ => {}
        }
    }
    visit(server, &mut value);
    value
}

#[tokio::test]
async fn what_real_servers_offer_stands_together_and_each_part_reaches_its_server() {
    let (Some(everything), Some(memory), Some(time)) = (
        provisioned::node_entry("mcp-server-everything"),
        provisioned::node_entry("mcp-server-memory"),
        provisioned::time(),
    ) else {
        return;
    };
    let mut direct = Direct::start(&everything).await;
    let config =
        json!({ "every": everything, "memory": memory, "time": time, "s": offering(&["--prompts", "a"]) });
    let gateway = Gateway::serving(config).start().await;
    gateway.ready(&["every", "memory", "time", "s"]).await;
    let all = Session::open(&gateway, "/mcp").await;
    for capability in ["tools", "prompts", "resources", "completions"] {
        assert!(all.introduction["capabilities"].get(capability).is_some(), "{capability}");
    }
    let told = all.introduction["instructions"].as_str().unwrap();
    assert!(
        told.contains("SERVER_PROMPT") && told.contains("mcpo://SERVER/") && told.contains("# every"),
        "{told}"
    );

    // Prompts: each as its server defines it, but for the name.
    let here = all.result("prompts/list", &json!({})).await;
    let there = direct.answer("prompts/list", &json!({})).await["result"].clone();
    let mut expected = there["prompts"].clone();
    for prompt in expected.as_array_mut().unwrap() {
        prompt["name"] = format!("every_{}", prompt["name"].as_str().unwrap()).into();
    }
    let of_every: Vec<&Value> =
        here["prompts"].as_array().unwrap().iter().filter(|prompt| prompt["name"] != "s_a").collect();
    assert_eq!(json!(of_every), expected);
    assert!(names(&here["prompts"]).contains(&"s_a".to_owned()), "{here}");
    let mut fetched = 0;
    for prompt in there["prompts"].as_array().unwrap() {
        let mut params = json!({ "name": prompt["name"] });
        for argument in prompt["arguments"].as_array().into_iter().flatten() {
            params["arguments"][argument["name"].as_str().unwrap()] = json!("1");
        }
        let there = direct.answer("prompts/get", &params).await;
        params["name"] = format!("every_{}", prompt["name"].as_str().unwrap()).into();
        let here = all.answer("prompts/get", &params).await.ok();
        assert_eq!(
            here.get("result").cloned(),
            there.get("result").map(|result| under("every", result.clone()))
        );
        assert_eq!(here["error"]["code"], there["error"]["code"], "{params}");
        fetched += usize::from(here.get("result").is_some());
    }
    assert!(fetched >= 2, "{fetched} prompts were compared");

    // Resources and templates: under the name of the server, and read by that name.
    let here = all.result("resources/list", &json!({})).await["resources"].clone();
    let there = direct.answer("resources/list", &json!({})).await["result"]["resources"].clone();
    let here: Vec<&Value> = here
        .as_array()
        .unwrap()
        .iter()
        .filter(|one| one["uri"].as_str().unwrap().starts_with("mcpo://every/"))
        .collect();
    assert_eq!(json!(here), under("every", there.clone()));
    let uri = there[0]["uri"].as_str().unwrap();
    let read = all.result("resources/read", &json!({ "uri": format!("mcpo://every/{uri}") })).await;
    assert_eq!(
        read,
        under("every", direct.answer("resources/read", &json!({ "uri": uri })).await["result"].clone())
    );
    let templates = all.result("resources/templates/list", &json!({})).await["resourceTemplates"].clone();
    let mut expected =
        direct.answer("resources/templates/list", &json!({})).await["result"]["resourceTemplates"].clone();
    for template in expected.as_array_mut().unwrap() {
        template["uriTemplate"] =
            format!("mcpo://every/{}", template["uriTemplate"].as_str().unwrap()).into();
    }
    assert_eq!(templates, expected);
    assert!(templates.to_string().contains("{resourceId}"), "{templates}");

    // Completion, by both kinds of reference.
    let argument = json!({ "name": "department", "value": "S" });
    let prompt = json!({ "type": "ref/prompt", "name": "every_completable-prompt" });
    let completed = all.result("completion/complete", &json!({ "ref": prompt, "argument": argument })).await;
    assert_eq!(completed["completion"]["values"], json!(["Sales", "Support"]));
    let reference = json!({ "type": "ref/resource", "uri": templates[0]["uriTemplate"] });
    let argument = json!({ "name": "resourceId", "value": "7" });
    let completed =
        all.result("completion/complete", &json!({ "ref": reference, "argument": argument })).await;
    assert_eq!(completed["completion"]["values"], json!(["7"]));

    // And so without a session, where headers name the prompt and the resource as they are called here.
    for (method, params) in [
        ("prompts/get", json!({ "name": "every_simple-prompt" })),
        ("resources/read", json!({ "uri": format!("mcpo://every/{uri}") })),
    ] {
        let answer = stateless(gateway.ask("POST", "/mcp"), method, &params).send().await.ok();
        let mut result = answer["result"].clone();
        assert_eq!(result["resultType"], "complete", "{answer}");
        result
            .as_object_mut()
            .unwrap()
            .retain(|key, _| !["resultType", "ttlMs", "cacheScope"].contains(&key.as_str()));
        assert_eq!(result, all.result(method, &params).await);
    }

    // Links and embedded resources of a tool's result; at the server's own endpoint they stay.
    let one = Session::open(&gateway, "/every/mcp").await;
    for (tool, arguments) in [
        ("get-resource-links", json!({ "count": 2 })),
        ("get-resource-reference", json!({ "resourceId": 2 })),
    ] {
        let own = one.call(tool, &arguments).await;
        let shown = all.call(&format!("every_{tool}"), &arguments).await;
        let without_time = |value: &Value| {
            let text = value.to_string();
            // Its texts tell when they were made.
            text.split(|character: char| character.is_ascii_digit()).collect::<String>()
        };
        assert!(own.to_string().contains(r#""uri":"demo://"#), "{own}");
        assert_eq!(without_time(&shown), without_time(&under("every", own)));
        let link = shown["content"]
            .as_array()
            .unwrap()
            .iter()
            .find_map(|item| item["uri"].as_str().or(item["resource"]["uri"].as_str()));
        let read = all.result("resources/read", &json!({ "uri": link.unwrap() })).await;
        assert_eq!(read["contents"][0]["uri"], link.unwrap());
    }
}

#[tokio::test]
async fn what_there_is_not_is_refused_and_no_server_is_asked() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let entry = offering(&["--prompts", "a", "--log", log.to_str().unwrap()]);
    let gateway = Gateway::serving(json!({ "s": entry, "gateway": { "type": "gateway" } })).start().await;
    gateway.ready(&["s"]).await;
    let all = Session::open(&gateway, "/mcp").await;
    for uri in
        ["odd+x://0/?a=%20#é", "mcpo://no/odd+x://0", "mcpo://gateway/x:y", "mcpo://s", "file:///etc/passwd"]
    {
        let error = all.error("resources/read", &json!({ "uri": uri })).await;
        assert_eq!((&error["code"], &error["data"]["uri"]), (&json!(-32002), &json!(uri)), "{error}");
        let ask =
            stateless(gateway.ask("POST", "/mcp"), "resources/read", &json!({ "uri": "mcpo://no/x:y" }));
        assert_eq!(ask.send().await.ok()["error"]["code"], -32602);
    }
    for (method, params, told) in [
        ("prompts/get", json!({ "name": "a" }), "Unknown prompt: a"),
        ("prompts/get", json!({ "name": "s_b" }), "Unknown prompt: s_b"),
        ("prompts/get", json!({}), "`name` must be a text"),
        ("resources/read", json!({ "uri": 7 }), "`uri` must be a text"),
        ("prompts/list", json!({ "cursor": "1" }), "there is no such `cursor`: this list comes whole"),
        ("completion/complete", json!({ "ref": { "type": "ref/prompt", "name": "b" } }), "Unknown prompt: b"),
        (
            "completion/complete",
            json!({ "ref": { "type": "ref/resource", "uri": "x:{y}" } }),
            "Unknown resource template: x:{y}",
        ),
        (
            "completion/complete",
            json!({ "ref": { "type": "ref/other" } }),
            "`ref` must be a reference to a prompt or a resource template",
        ),
    ] {
        let error = all.error(method, &params).await;
        assert_eq!((&error["code"], &error["message"]), (&json!(-32602), &json!(told)), "{method} {params}");
    }
    let asked = std::fs::read_to_string(&log).unwrap();
    for method in ["resources/read", "prompts/get", "completion/complete"] {
        assert!(!asked.contains(method), "{asked}");
    }
    // What the server itself refuses comes with its own words.
    let error = all.error("resources/read", &json!({ "uri": "mcpo://s/odd+x://9" })).await;
    assert_eq!((&error["code"], &error["message"]), (&json!(-32000), &json!("no resources/read today")));
}

#[tokio::test]
async fn all_pages_of_all_servers_are_listed_and_names_that_meet_are_told_apart() {
    let config = json!({
        "a": offering(&["--prompts", "b_c,one,two,three,odd name", "--page", "2"]),
        "a_b": offering(&["--prompts", "c,one", "--page", "1", "--circle"]),
        "c d": offering(&["--prompts", &"x".repeat(80)]),
        "none": servers::scripted(&[]),
    });
    let gateway = Gateway::serving(config.clone()).start().await;
    gateway.ready(&["a", "a_b", "c d", "none"]).await;
    let all = Session::open(&gateway, "/mcp").await;
    let listed = all.result("prompts/list", &json!({})).await;
    assert!(listed.get("nextCursor").is_none() && listed.get("ttlMs").is_none(), "{listed}");
    let shown = names(&listed["prompts"]);
    assert_eq!(shown.len(), 8, "{shown:?}");
    for plain in ["a_one", "a_two", "a_three", "a_b_one"] {
        assert!(shown.contains(&plain.to_owned()), "{shown:?}");
    }
    let fits = |name: &String| {
        name.len() <= 64 && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
    };
    assert!(shown.iter().all(fits), "{shown:?}");
    // Two servers could have it; it is that of the longer name, whatever the other one lists.
    let prompt = all.result("prompts/get", &json!({ "name": "a_b_c" })).await;
    assert_eq!(prompt["messages"][0]["content"]["text"], "c");
    let mut got = Vec::new();
    for name in &shown {
        let prompt = all.result("prompts/get", &json!({ "name": name })).await;
        got.push(prompt["messages"][0]["content"]["text"].as_str().unwrap().to_owned());
    }
    got.sort();
    assert_eq!(got, ["b_c", "c", "odd name", "one", "one", "three", "two", &"x".repeat(80)]);
    // What else stands in a definition stays, and so does a URI that is no URI of a resource.
    assert!(listed["prompts"].as_array().unwrap().iter().all(|prompt| prompt["x-vendor"] == 1.5));
    let resources = all.result("resources/list", &json!({})).await["resources"].clone();
    assert_eq!(resources.as_array().unwrap().len(), 9);
    let last = &resources[8];
    assert_eq!(last["uri"], "mcpo://c%20d/odd+x://2/?a=%20#é");
    assert_eq!((&last["name"], &last["x-vendor"]), (&json!("R2"), &json!({ "uri": "kept://" })));
    let read = all.result("resources/read", &json!({ "uri": last["uri"] })).await;
    assert_eq!(read["contents"], json!([{ "uri": last["uri"], "text": "it" }]));

    // A client that has its list from before a restart gets its prompt all the same.
    drop(gateway);
    let gateway = Gateway::serving(config).start().await;
    gateway.ready(&["a", "a_b", "c d", "none"]).await;
    let all = Session::open(&gateway, "/mcp").await;
    for name in &shown {
        all.result("prompts/get", &json!({ "name": name })).await;
    }
}

#[tokio::test]
async fn a_server_that_fails_is_left_out_and_the_others_are_not() {
    let config = json!({
        "good": offering(&["--prompts", "a"]),
        "bad": offering(&["--prompts", "a", "--fail", "prompts/list"]),
        "gone": { "command": "/no/such/program" },
    });
    let gateway = Gateway::serving(config).start().await;
    gateway.ready(&["good", "bad"]).await;
    let all = Session::open(&gateway, "/mcp").await;
    assert_eq!(names(&all.result("prompts/list", &json!({})).await["prompts"]), ["good_a"]);
    gateway.logged("bad: its prompts are left out of those of all servers: no prompts/list today").await;
    assert_eq!(all.result("resources/list", &json!({})).await["resources"].as_array().unwrap().len(), 6);
    assert_eq!(all.error("prompts/get", &json!({ "name": "bad_a" })).await["code"], -32602);
    // Neither offers a template, which is no failure of the list.
    assert_eq!(all.result("resources/templates/list", &json!({})).await, json!({ "resourceTemplates": [] }));
}

#[tokio::test]
async fn a_server_that_does_not_answer_holds_up_a_list_for_its_deadline_alone() {
    let config = json!({
        "good": offering(&["--prompts", "a"]),
        "deaf": offering(&["--prompts", "a", "--hang", "prompts/list"]),
    });
    let gateway = Gateway::serving(config).start().await;
    gateway.ready(&["good", "deaf"]).await;
    let all = Session::open(&gateway, "/mcp").await;
    let began = std::time::Instant::now();
    assert_eq!(names(&all.result("prompts/list", &json!({})).await["prompts"]), ["good_a"]);
    assert!(began.elapsed().as_secs() >= 9, "it was not waited for");
    gateway
        .logged("deaf: its prompts are left out of those of all servers: it did not list them within 10 s")
        .await;
}

#[tokio::test]
async fn a_list_without_a_session_says_the_smallest_ttl_and_the_narrowest_scope() {
    let list = async |servers: Value, method: &str| {
        let names: Vec<String> = servers.as_object().unwrap().keys().cloned().collect();
        let gateway = Gateway::serving(servers).start().await;
        gateway.ready(&names.iter().map(String::as_str).collect::<Vec<_>>()).await;
        let answer = stateless(gateway.ask("POST", "/mcp"), method, &json!({})).send().await.ok();
        let result = answer["result"].clone();
        assert_eq!(result["resultType"], "complete", "{answer}");
        (result["ttlMs"].as_u64().unwrap(), result["cacheScope"].as_str().unwrap().to_owned())
    };
    let with =
        |ttl: &str, scope: &str| offering(&["--prompts", "a", "--page", "1", "--ttl", ttl, "--scope", scope]);
    let silent = || offering(&["--prompts", "a"]);
    let public = |ttl: u64| (ttl, "public".to_owned());
    let private = |ttl: u64| (ttl, "private".to_owned());
    assert_eq!(
        list(json!({ "a": silent(), "b": with("70000", "public") }), "prompts/list").await,
        public(10_000)
    );
    let three = json!({ "a": with("7000", "public"), "b": with("5000", "private"), "c": silent() });
    assert_eq!(list(three, "resources/list").await, private(5_000));
    // What is not whole is not to be kept.
    let failing = json!({ "a": silent(), "b": offering(&["--prompts", "a", "--fail", "prompts/list"]) });
    assert_eq!(list(failing, "prompts/list").await, public(0));
}

#[tokio::test]
async fn a_key_sees_prompts_and_resources_of_its_servers_alone() {
    let config = json!({
        "mcpServers": { "mine": offering(&["--prompts", "a"]), "theirs": offering(&["--prompts", "a"]), "bare": servers::scripted(&[]) },
        "apiKeys": {
            "all": "key-all",
            "limited": { "key": "key-limited", "servers": ["mine"] },
            "none": { "key": "key-none", "servers": ["bare"] },
        },
    });
    let gateway = Gateway::with(config).flag("--api-key", "key-admin").start().await;
    gateway.ready(&["mine", "theirs", "bare"]).await;
    let open = async |key: &str| {
        Session::open_with(gateway.ask("POST", "/mcp").header("Authorization", &format!("Bearer {key}")))
            .await
    };
    let (all, limited, none) = (open("key-all").await, open("key-limited").await, open("key-none").await);
    // Somebody else's list makes its names known, and opens nothing.
    assert_eq!(names(&all.result("prompts/list", &json!({})).await["prompts"]), ["mine_a", "theirs_a"]);
    assert_eq!(names(&limited.result("prompts/list", &json!({})).await["prompts"]), ["mine_a"]);
    assert_eq!(none.result("prompts/list", &json!({})).await, json!({ "prompts": [] }));
    assert!(limited.introduction["capabilities"].get("prompts").is_some());
    assert_eq!(none.introduction["capabilities"], json!({ "tools": { "listChanged": true } }));
    assert!(none.introduction.get("instructions").is_none(), "{}", none.introduction);
    limited.result("prompts/get", &json!({ "name": "mine_a" })).await;
    let hidden = limited.error("prompts/get", &json!({ "name": "theirs_a" })).await;
    let missing = limited.error("prompts/get", &json!({ "name": "nobody_a" })).await;
    assert_eq!(hidden.to_string().replace("theirs", "nobody"), missing.to_string());
    let uri = |server: &str| json!({ "uri": format!("mcpo://{server}/odd+x://1/?a=%20#é") });
    limited.result("resources/read", &uri("mine")).await;
    let hidden = limited.error("resources/read", &uri("theirs")).await;
    let missing = limited.error("resources/read", &uri("nobody")).await;
    assert_eq!(hidden.to_string().replace("theirs", "nobody"), missing.to_string());
    let list = stateless(
        gateway.ask("POST", "/mcp").header("Authorization", "Bearer key-all"),
        "prompts/list",
        &json!({}),
    );
    assert_eq!(list.send().await.ok()["result"]["cacheScope"], "private");
}

#[tokio::test]
async fn what_a_server_says_of_itself_is_shown_with_its_own_members() {
    let gateway = Gateway::serving(json!({ "s": offering(&[]) })).start().await;
    gateway.ready(&["s"]).await;
    let session = Session::open(&gateway, "/s/mcp").await;
    let expected = json!({ "name": "offering", "version": "1", "x-owner": [1, null] });
    assert_eq!(session.introduction["serverInfo"], expected);
    // Without prompts it does not say that it has any.
    assert!(session.introduction["capabilities"].get("prompts").is_none());
}
