//! Names among those of all servers, at `/mcp`, `/v1` and in `/openapi.json`: whatever a server calls its tools, it takes
//! over and changes no name of another, and no profile shows its tools for those of another.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use crate::support::mcp::{Session, names};
use crate::support::operator::{configuration, mcpo};
use crate::support::{Gateway, servers};

const CHANGED: &str = "notifications/tools/list_changed";
const PROMPTS_CHANGED: &str = "notifications/prompts/list_changed";
/// What the test server has beside the tools that it is told to have; some of these never answer.
const ALWAYS: [&str; 10] =
    ["big", "complain", "echo", "environment", "fork", "pid", "progress", "slow", "vendor", "wait"];

/// What stands at the end of a name that could be read in another way.
fn hash(server: &str, tool: &str, digits: usize) -> String {
    let digest = Sha256::digest(format!("{server}\0{tool}"));
    digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>()[..digits].to_owned()
}

/// Servers that note what they are asked, each in a file of its own.
struct Scene {
    folder: TempDir,
    calls: AtomicUsize,
}

impl Scene {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), calls: AtomicUsize::new(0) }
    }

    fn log(&self, server: &str) -> PathBuf {
        self.folder.path().join(format!("{server}.log"))
    }

    /// The entry of a server with further `tools`.
    fn entry(&self, server: &str, tools: &[&str]) -> Value {
        let log = self.log(server);
        servers::scripted(&["--log", log.to_str().unwrap(), "--tools", &tools.join(",")])
    }

    fn mark(&self) -> String {
        format!("call {} of the test", self.calls.fetch_add(1, Ordering::Relaxed))
    }

    /// The server and its own tool that a call of `name` leads to.
    async fn led_to(&self, session: &Session, name: &str) -> (String, String) {
        let mark = self.mark();
        session.call(name, &json!({ "value": mark })).await;
        self.marked(name, &mark)
    }

    /// The same for a model's call.
    async fn model_led_to(&self, gateway: &Gateway, name: &str) -> (String, String) {
        let mark = self.mark();
        let arguments = json!({ "value": mark }).to_string();
        let call =
            json!({ "id": "c", "type": "function", "function": { "name": name, "arguments": arguments } });
        gateway.post("/v1/tools/call", &json!([call])).await.ok();
        self.marked(name, &mark)
    }

    fn marked(&self, name: &str, mark: &str) -> (String, String) {
        let logs = std::fs::read_dir(self.folder.path()).unwrap().map(|log| log.unwrap().path());
        let mut hits: Vec<(String, String)> = logs.filter_map(|log| hit(&log, mark)).collect();
        assert_eq!(hits.len(), 1, "{name} leads to {hits:?}");
        hits.remove(0)
    }
}

/// The tool that the server of `log` was asked for with `mark`.
fn hit(log: &Path, mark: &str) -> Option<(String, String)> {
    let text = std::fs::read_to_string(log).unwrap();
    let line = text.lines().find(|line| line.contains(mark))?;
    let entry: Value = serde_json::from_str(line).unwrap();
    let name = entry.pointer("/message/params/name").and_then(Value::as_str);
    let tool = name.unwrap_or_else(|| panic!("{entry}")).to_owned();
    Some((log.file_stem().unwrap().to_str().unwrap().to_owned(), tool))
}

/// The ids of the document of all tools, by path.
async fn operation_ids(gateway: &Gateway) -> BTreeMap<String, String> {
    let document = gateway.get("/openapi.json").await.ok();
    let paths = document["paths"].as_object().unwrap();
    let id = |path: &Value| path["post"]["operationId"].as_str().unwrap().to_owned();
    let ids: BTreeMap<String, String> = paths.iter().map(|(path, item)| (path.clone(), id(item))).collect();
    let distinct: BTreeSet<&String> = ids.values().collect();
    assert_eq!(distinct.len(), ids.len(), "an id stands twice: {ids:?}");
    ids
}

async fn function_names(gateway: &Gateway) -> Vec<String> {
    let list = gateway.get("/v1/tools").await.ok();
    let functions: Vec<Value> =
        list.as_array().unwrap().iter().map(|tool| tool["function"].clone()).collect();
    names(&json!(functions))
}

/// The server and the tool of each name at `/mcp`, which stands there once and at `/v1/tools`, too; without those that the
/// test servers always have.
async fn exposed(scene: &Scene, gateway: &Gateway) -> BTreeMap<String, (String, String)> {
    let session = Session::open(gateway, "/mcp").await;
    let list = session.result("tools/list", &json!({})).await["tools"].clone();
    let listed = names(&list);
    assert_eq!(function_names(gateway).await, listed);
    assert_eq!(listed.iter().collect::<BTreeSet<_>>().len(), listed.len(), "a name stands twice: {listed:?}");
    let mut exposed = BTreeMap::new();
    for tool in list.as_array().unwrap() {
        // The test server describes a tool by its name.
        let own = tool["description"].as_str().unwrap();
        if !ALWAYS.contains(&own) {
            let name = tool["name"].as_str().unwrap();
            let led_to = scene.led_to(&session, name).await;
            assert_eq!(led_to.1, own, "{name} leads to {led_to:?}");
            assert_eq!(scene.model_led_to(gateway, name).await, led_to, "{name}");
            exposed.insert(name.to_owned(), led_to);
        }
    }
    let tools: BTreeSet<_> = exposed.values().collect();
    assert_eq!(tools.len(), exposed.len(), "two names lead to one tool: {exposed:?}");
    exposed
}

#[tokio::test]
async fn no_server_takes_over_or_changes_a_name_of_another() {
    let scene = Scene::new();
    let good = ["a_b", "a.b", "a.b_c"];
    let config = |tools: &[&str]| {
        let mut entries = json!({ "a": scene.entry("a", tools) });
        for server in good {
            entries[server] = scene.entry(server, &["c", "look up", "c_d"]);
        }
        json!({ "mcpServers": entries })
    };
    let gateway = Gateway::with(config(&[])).start().await;
    gateway.listed(&["a", "a_b", "a.b", "a.b_c"]).await;
    let of_good = |exposed: &BTreeMap<String, (String, String)>| -> BTreeMap<String, (String, String)> {
        let of_good = exposed.iter().filter(|(_, (server, _))| server != "a");
        of_good.map(|(name, led_to)| (name.clone(), led_to.clone())).collect()
    };
    let before = of_good(&exposed(&scene, &gateway).await);
    assert_eq!(before["a_b_c"], ("a_b".to_owned(), "c".to_owned()), "{before:?}");
    let ids = operation_ids(&gateway).await;

    // Whatever others are called, and whatever they could be called, `a` would like to be called.
    let mut wanted: BTreeSet<String> =
        before.keys().filter_map(|name| name.strip_prefix("a_").map(str::to_owned)).collect();
    wanted.extend(ids.values().filter_map(|id| id.strip_prefix("a_").map(str::to_owned)));
    for server in good {
        wanted.extend([8, 16, 32].map(|digits| format!("b_c_{}", hash(server, "c", digits))));
    }
    let wanted: Vec<&str> = wanted.iter().map(String::as_str).filter(|tool| !ALWAYS.contains(tool)).collect();
    gateway.reload(&config(&wanted)).await;
    gateway.listed(&["a", "a_b", "a.b", "a.b_c"]).await;
    let after = exposed(&scene, &gateway).await;
    assert_eq!(of_good(&after), before);
    let tools = after.values().filter(|(server, tool)| server == "a" && wanted.contains(&&**tool));
    assert_eq!(tools.count(), wanted.len(), "{after:?}");
    let ids_after = operation_ids(&gateway).await;
    for (path, id) in &ids {
        assert_eq!(&ids_after[path], id, "{path}");
    }
}

#[tokio::test]
async fn a_tool_that_the_operator_renames_takes_no_name_of_another_server() {
    let scene = Scene::new();
    let mut renamed = scene.entry("a", &["x", "c"]);
    renamed["tools"] = json!({ "x": { "name": "b_c" }, "c": { "name": "look up" } });
    let gateway = Gateway::serving(json!({ "a": renamed, "a_b": scene.entry("a_b", &["c"]) })).start().await;
    gateway.listed(&["a", "a_b"]).await;
    let exposed = exposed(&scene, &gateway).await;
    let name_of = |server: &str, tool: &str| {
        let wanted = (server.to_owned(), tool.to_owned());
        exposed.iter().find(|(_, led_to)| **led_to == wanted).unwrap().0.as_str()
    };
    assert_eq!(name_of("a_b", "c"), "a_b_c");
    assert!(name_of("a", "x").starts_with("a_b_c_"), "{exposed:?}");
    assert!(name_of("a", "c").starts_with("a_look_up_"), "{exposed:?}");
    let ids = operation_ids(&gateway).await;
    assert_eq!((&*ids["/a_b/c"], &*ids["/a/b_c"]), ("a_b_c", name_of("a", "x")));
}

#[tokio::test]
async fn a_name_is_the_same_whether_the_server_that_could_claim_it_has_tools_or_not() {
    let scene = Scene::new();
    let mut seen = Vec::new();
    for other in [
        scene.entry("a_b", &["c"]),
        json!({ "command": "/no/such/program" }),
        json!({ "command": "/no/such/program", "disabled": true }),
    ] {
        let gateway =
            Gateway::serving(json!({ "a_b": other, "a": scene.entry("a", &["b_c", "plain"]) })).start().await;
        gateway.listed(&["a"]).await;
        let session = Session::open(&gateway, "/mcp").await;
        let list = session.result("tools/list", &json!({})).await;
        let name = |tool: &str| {
            let tools = list["tools"].as_array().unwrap();
            let found = tools.iter().find(|listed| listed["description"] == tool);
            found.unwrap_or_else(|| panic!("no {tool}: {list}"))["name"].as_str().unwrap().to_owned()
        };
        assert_eq!(name("plain"), "a_plain");
        let ids = operation_ids(&gateway).await;
        seen.push((name("b_c"), ids["/a/b_c"].clone()));
    }
    assert!(seen[0].0.starts_with("a_b_c_") && seen[0].1.starts_with("a_b_c_"), "{seen:?}");
    assert!(seen.iter().all(|names| names == &seen[0]), "{seen:?}");
}

#[tokio::test]
async fn a_profile_shows_no_tool_of_a_server_for_that_of_another() {
    let scene = Scene::new();
    let long = "x".repeat(80);
    let config = json!({
        "mcpServers": {
            "git": scene.entry("git", &["hub_evil", "hub_search", "status", &long]),
            "git_hub": scene.entry("git_hub", &["search"]),
            "git.lab": scene.entry("git.lab", &["merge"]),
        },
        "profiles": {
            "hub": { "tools": ["git_hub_*"] },
            "lab": { "tools": ["git_lab_*"] },
            "raw-lab": { "tools": ["git.lab_merge"] },
            "git": { "tools": ["git_hub_evil", "git_hub_search", "git_status"] },
            "whole": { "tools": ["git_hub_s*", "git_h*"] },
            "either": { "tools": ["{git_hub,time}_*"] },
            "long": { "tools": [format!("*_{long}")] },
            "all": { "tools": ["*"] },
        },
    });
    let gateway = Gateway::with(config).start().await;
    gateway.listed(&["git", "git_hub", "git.lab"]).await;
    let all = 3 * ALWAYS.len() + 6;
    for (profile, count, of_git, of_hub, of_lab) in [
        ("hub", ALWAYS.len() + 1, &[][..], &["search"][..], &[][..]),
        ("lab", ALWAYS.len() + 1, &[], &[], &["merge"]),
        ("raw-lab", 1, &[], &[], &["merge"]),
        ("git", 2, &["status"], &["search"], &[]),
        ("whole", 4, &["hub_evil", "hub_search"], &["search"], &[]),
        ("either", ALWAYS.len() + 1, &[], &["search"], &[]),
        ("long", 1, &[&*long], &[], &[]),
        ("all", all, &["hub_evil", "hub_search", "status", &*long], &["search"], &["merge"]),
    ] {
        let path = format!("/mcp?profile={profile}");
        let session = Session::open(&gateway, &path).await;
        assert_eq!(session.tools().await.len(), count, "{profile}: {:?}", session.tools().await);
        for (server, tools) in [("git", of_git), ("git_hub", of_hub), ("git.lab", of_lab)] {
            let one = Session::open(&gateway, &format!("/{server}/mcp?profile={profile}")).await;
            let listed = one.tools().await;
            let shown: Vec<&str> =
                listed.iter().map(String::as_str).filter(|tool| !ALWAYS.contains(tool)).collect();
            let tools: Vec<&str> = tools.iter().copied().filter(|tool| !ALWAYS.contains(tool)).collect();
            assert_eq!(shown, tools, "{profile}: {server}");
        }
        if profile == "hub" {
            let error = session.error("tools/call", &json!({ "name": "git_hub_evil" })).await;
            assert_eq!(error["message"], "Unknown tool: git_hub_evil");
        }
    }
}

#[tokio::test]
async fn a_length_that_names_cannot_have_is_refused_by_its_key_and_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = configuration(folder.path(), &json!({}));
    for length in ["31", "65", "-1", "50.5", "\"50\""] {
        std::fs::write(&file, format!("{{\"mcpServers\": {{}}, \"exposedNameLength\": {length}}}")).unwrap();
        let checked = mcpo(&["check", "--config", &file]).await;
        let told = checked.failed(64);
        assert!(told.contains(&file) && told.contains("exposedNameLength"), "{length}: {told}");
    }
}

#[tokio::test]
async fn exposed_name_length_bounds_names_for_clients_and_models_and_a_reload_tells_of_others() {
    let scene = Scene::new();
    let (fits, long) = ("f".repeat(48), "l".repeat(49));
    let prompt = "p".repeat(49);
    let config = |length: Option<usize>| {
        let mut config = json!({ "mcpServers": {
            "s": scene.entry("s", &[&fits, &long]),
            "o": servers::entry("offering_server.py", &["--tells", "--prompts", &prompt]),
        }});
        if let Some(length) = length {
            config["exposedNameLength"] = json!(length);
        }
        config
    };
    let gateway = Gateway::with(config(None)).start().await;
    gateway.listed(&["s", "o"]).await;
    let session = Session::open(&gateway, "/mcp").await;
    let mut stream = session.stream(&gateway, "/mcp").await;
    let ids = operation_ids(&gateway).await;
    assert_eq!((&*ids[&format!("/s/{long}")], ids[&format!("/s/{fits}")].len()), (&*format!("s_{long}"), 50));
    for length in [50, 32, 64] {
        if length != 50 {
            gateway.reload(&config(Some(length))).await;
            stream.message(CHANGED).await;
            stream.message(PROMPTS_CHANGED).await;
        }
        let tools = session.tools().await;
        let longest = tools.iter().map(String::len).max().unwrap();
        assert_eq!(longest, if length == 64 { 51 } else { length }, "{tools:?}");
        assert!(tools.contains(&"s_echo".to_owned()), "{tools:?}");
        assert_eq!(tools.contains(&format!("s_{fits}")), length >= 50, "{tools:?}");
        assert_eq!(tools.contains(&format!("s_{long}")), length >= 51, "{tools:?}");
        assert_eq!(function_names(&gateway).await, tools);
        for name in tools.iter().filter(|name| name.starts_with("s_lll") || name.starts_with("s_fff")) {
            let own = if name.starts_with("s_l") { &long } else { &fits };
            assert_eq!(scene.led_to(&session, name).await, ("s".to_owned(), own.clone()));
        }
        let prompts = names(&session.result("prompts/list", &json!({})).await["prompts"]);
        assert_eq!(prompts[0].len(), if length == 64 { 51 } else { length }, "{prompts:?}");
        let got = session.result("prompts/get", &json!({ "name": prompts[0] })).await;
        assert_eq!(got["messages"][0]["content"]["text"], prompt);
        assert_eq!(operation_ids(&gateway).await, ids, "documents keep their 64");
    }
}
