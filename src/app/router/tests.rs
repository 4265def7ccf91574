use std::collections::BTreeMap;

use bytes::Bytes;
use http::{Request, Response, header};
use http_body_util::Full;

use crate::app::in_process::InProcessGateway;
use crate::config::{Config, ListenConfig, Sources};

async fn gateway(path_prefix: &str, root_path: &str, single: bool) -> InProcessGateway {
    let listen = ListenConfig {
        path_prefix: path_prefix.to_owned(),
        root_path: root_path.to_owned(),
        ..ListenConfig::default()
    };
    let config = Config { listen, single, servers: Vec::new(), ..Config::default() };
    InProcessGateway::start(config, Sources::default(), None).await.unwrap()
}

async fn ask(gateway: &InProcessGateway, method: &str, path: &str) -> Response<Bytes> {
    let request = Request::builder().method(method).uri(path).body(Full::default()).unwrap();
    gateway.answer(request).await.unwrap()
}

/// How many requests each route has answered.
async fn counts(gateway: &InProcessGateway) -> BTreeMap<String, u64> {
    let metrics = ask(gateway, "GET", "/metrics").await.into_body();
    let mut counts = BTreeMap::new();
    for line in std::str::from_utf8(&metrics).unwrap().lines() {
        let Some(series) = line.strip_prefix("http_server_request_duration_seconds_count{") else { continue };
        let (labels, count) = series.split_once("} ").unwrap();
        let route = labels.split("http_route=\"").nth(1).unwrap().split('"').next().unwrap();
        *counts.entry(route.to_owned()).or_default() += count.parse::<u64>().unwrap();
    }
    counts.remove("/metrics");
    counts
}

/// The template of the one route that answers.
async fn template(gateway: &InProcessGateway, method: &str, path: &str) -> String {
    let before = counts(gateway).await;
    ask(gateway, method, path).await;
    let after = counts(gateway).await;
    let grown: Vec<_> = after.into_iter().filter(|(route, count)| before.get(route) != Some(count)).collect();
    assert_eq!(grown.len(), 1, "{method} {path}: {grown:?}");
    grown[0].0.clone()
}

async fn check(gateway: &InProcessGateway, method: &str, routes: &[(&str, &str)]) {
    for (path, route) in routes {
        assert_eq!(template(gateway, method, path).await, *route, "{method} {path}");
    }
}

const CALL: &str = "/{server}/{tool}";

#[tokio::test]
async fn paths_of_the_gateway_and_of_servers_are_told_apart() {
    let gateway = gateway("/", "", false).await;
    let pages = [
        ("/health", "/health"),
        ("/ready", "/ready"),
        ("/servers", "/servers"),
        ("/servers/plan", "/servers/plan"),
        ("/servers/lock", "/servers/lock"),
        ("/docs", "/docs"),
        ("/openapi.json", "/openapi.json"),
        ("/assets/swagger/ui.css", "/assets/swagger/{file}"),
        ("/docs/", "/redoc"),
        ("/docs/swagger-initializer.js", "/docs/swagger-initializer.js"),
        ("/s/docs", "/{server}/docs"),
        ("/s/docs/swagger-initializer.js", "/{server}/docs/swagger-initializer.js"),
        ("/s/redoc", "/redoc"),
        ("/s/openapi.json", "/{server}/openapi.json"),
        ("/s/", "/{server}/"),
        ("/s/t", CALL),
        ("/s/health", CALL),
        ("/s/a%2Fb", CALL),
        ("/s/{x}", CALL),
    ];
    check(&gateway, "GET", &pages).await;
    for nowhere in ["/s", "/s/t/", "//s/t", "//docs", "/s//t", "/s/t/u", "/s/%FF", "/%FF/docs", "//", "*"] {
        check(&gateway, "GET", &[(nowhere, "")]).await;
    }
}

#[tokio::test]
async fn a_call_finds_tools_where_others_find_pages() {
    let gateway = gateway("/", "", false).await;
    let calls = [("/s/redoc", CALL), ("/s/", CALL), ("/s/t", CALL), ("/s/docs", "/{server}/docs")];
    check(&gateway, "POST", &calls).await;
    let others = [("/v1/tools/call", "/v1/tools/call"), ("/v1/tools/", "/v1/tools"), ("/mcp", "/mcp")];
    check(&gateway, "POST", &others).await;
    for page in
        ["/servers/plan", "/docs", "/oauth/callback", "/v1/tools", "/s/docs", "/s/openapi.json", "/health"]
    {
        assert_eq!(ask(&gateway, "POST", page).await.status(), 405, "{page}");
    }
}

#[tokio::test]
async fn the_page_and_what_belongs_to_it_are_found_and_nothing_else() {
    let gateway = gateway("/", "", false).await;
    let routes = [
        ("/", "/"),
        ("/assets/page/page.css", "/assets/page/{file}"),
        ("/servers/a%2Fb/tools", "/servers/{server}/tools"),
        ("/servers/a%2Fb/lobechat.json", "/servers/{server}/lobechat.json"),
        ("/servers/lobechat.json", "/servers/lobechat.json"),
        ("/servers/%FF/tools", ""),
        ("/servers/tools", CALL),
        ("/servers/s/tools/", ""),
        ("/s/tools", CALL),
    ];
    check(&gateway, "GET", &routes).await;
}

#[tokio::test]
async fn paths_of_sign_ins_lead_to_their_place_and_others_nowhere() {
    let gateway = gateway("/", "", false).await;
    let start = "/oauth/{server}/start";
    let routes = [
        ("/oauth/callback", "/oauth/callback"),
        ("/oauth/client-metadata.json", "/oauth/client-metadata.json"),
        ("/oauth/a/start", start),
        ("/oauth/a%20b/start", start),
        ("/oauth/callback/start", start),
        ("/oauth//start", ""),
        ("/oauth/a/b/start", ""),
        ("/oauth/start", CALL),
        ("/oauth", ""),
        ("/a/oauth/callback", ""),
    ];
    check(&gateway, "GET", &routes).await;
    assert_eq!(ask(&gateway, "GET", "/oauth/a%2Fb/start").await.status(), 404);
    let refused = ask(&gateway, "PUT", "/oauth/a/start").await;
    assert_eq!(
        (refused.status().as_u16(), &refused.headers()[header::ALLOW]),
        (405, &"GET, HEAD, POST".parse().unwrap())
    );
}

#[tokio::test]
async fn a_prefix_is_needed_for_servers_and_optional_for_the_rest() {
    let prefixed = gateway("/pre/", "", false).await;
    let routes = [
        ("/pre/s/t", CALL),
        ("/s/t", ""),
        ("/prefix/s", ""),
        ("/docs", "/docs"),
        ("/pre/docs", "/docs"),
        ("/s/docs", ""),
        ("/pre/s/docs", "/{server}/docs"),
        ("/pre/v1/tools", "/v1/tools"),
        ("/pre/oauth/callback", "/oauth/callback"),
    ];
    check(&prefixed, "GET", &routes).await;
    check(&prefixed, "POST", &[("/pre/s/t", CALL), ("/pre/v1/tools/call", "/v1/tools/call"), ("/s/t", "")])
        .await;
}

#[tokio::test]
async fn a_prefix_may_be_named_like_a_route_of_the_gateway() {
    let mcp = gateway("/mcp/", "", false).await;
    check(&mcp, "GET", &[("/mcp/docs", "/docs"), ("/mcp/s/docs", "/{server}/docs"), ("/mcp/s/t", CALL)])
        .await;
    check(&mcp, "POST", &[("/mcp/s/t", CALL), ("/mcp/s/mcp", "/{server}/mcp"), ("/mcp", "/mcp")]).await;
    let v1 = gateway("/v1/", "", false).await;
    check(&v1, "POST", &[("/v1/tools/call", "/v1/tools/call"), ("/v1/s/t", CALL)]).await;
    for prefix in ["/docs", "/redoc", "/servers", "/health"] {
        let named = gateway(&format!("{prefix}/"), "", false).await;
        let page = format!("{prefix}/");
        check(&named, "GET", &[(prefix, "/"), (&page, "/"), (&format!("{prefix}/s/t"), CALL)]).await;
        let moved = ask(&named, "GET", prefix).await;
        assert_eq!(
            (moved.status().as_u16(), moved.headers()[header::LOCATION].to_str().unwrap()),
            (307, &page[1..])
        );
        assert_eq!(ask(&named, "GET", &page).await.status(), 200, "{page}");
    }
}

#[tokio::test]
async fn a_prefix_is_optional_and_a_root_path_may_have_been_stripped() {
    let both = gateway("/pre/fix/", "/api", false).await;
    for path in ["/", "/pre/fix/", "/api/", "/api/pre/fix/"] {
        check(&both, "GET", &[(path, "/")]).await;
        assert_eq!(ask(&both, "GET", path).await.status(), 200, "{path}");
    }
    for path in ["/pre/fix", "/api/pre/fix"] {
        check(&both, "GET", &[(path, "/")]).await;
        let moved = ask(&both, "GET", path).await;
        assert_eq!(
            (moved.status().as_u16(), &moved.headers()[header::LOCATION]),
            (307, &"fix/".parse().unwrap())
        );
    }
    assert_eq!(ask(&both, "GET", "/pre/").await.status(), 404);
    let routes = [
        ("/api/pre/fix/assets/page/page.css", "/assets/page/{file}"),
        ("/api/pre/fix/s/t", CALL),
        ("/pre/fix/s/t", CALL),
        ("/api/docs", "/docs"),
    ];
    check(&both, "GET", &routes).await;
}

#[tokio::test]
async fn a_single_server_has_its_tools_at_the_root() {
    let single = gateway("/", "", true).await;
    let pages = [("/t", CALL), ("/docs", "/docs"), ("/t/", ""), ("/s/t", ""), ("/s/docs", "")];
    check(&single, "GET", &pages).await;
    let calls =
        [("/health", CALL), ("/redoc", CALL), ("/", CALL), ("/docs", CALL), ("/assets/page/page.css", "")];
    check(&single, "POST", &calls).await;
    check(&single, "POST", &[("/v1/tools", "/v1/tools"), ("/oauth/callback", "/oauth/callback")]).await;
}
