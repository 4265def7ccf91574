use std::time::Duration;

use super::*;

fn metrics() -> Metrics {
    Metrics::new(|| 7, || 3)
}

fn text(metrics: &Metrics) -> String {
    metrics.render(&Snapshot::default()).unwrap()
}

/// The values of the samples whose line begins with `series`.
fn values(text: &str, series: &str) -> Vec<f64> {
    let lines = text.lines().filter(|line| line.starts_with(series));
    lines.map(|line| line.rsplit_once(' ').unwrap().1.parse().unwrap()).collect()
}

fn calls(text: &str) -> Vec<&str> {
    text.lines().filter(|line| line.starts_with("mcp_client_operation_duration_seconds_count")).collect()
}

#[test]
fn a_call_is_counted_once_under_its_end_and_no_longer_in_flight() {
    let metrics = metrics();
    let meter = metrics.server("s").tool("t");
    meter.began();
    meter.began();
    assert_eq!(values(&text(&metrics), r#"mcpo_calls_in_flight{mcp_server="s"}"#), [2.0]);
    meter.ended("ok", Duration::from_millis(3));
    meter.ended("deadline", Duration::from_secs(400));
    let text = text(&metrics);
    let series = |suffix: &str, error: &str, more: &str| {
        format!(
            r#"mcp_client_operation_duration_seconds_{suffix}{{error_type="{error}",gen_ai_tool_name="t",mcp_method_name="tools/call",mcp_server="s"{more}}} "#
        )
    };
    assert_eq!(values(&text, &series("count", "", "")), [1.0]);
    assert_eq!(values(&text, &series("count", "deadline", "")), [1.0]);
    assert_eq!(values(&text, &series("sum", "", "")), [0.003]);
    assert_eq!(values(&text, &series("bucket", "", r#",le="0.002""#)), [0.0]);
    assert_eq!(values(&text, &series("bucket", "", r#",le="0.005""#)), [1.0]);
    assert_eq!(values(&text, &series("bucket", "deadline", r#",le="300""#)), [0.0]);
    assert_eq!(values(&text, r#"mcpo_calls_in_flight{mcp_server="s"}"#), [0.0]);
}

#[test]
fn every_end_of_a_call_has_a_label_of_its_own_and_an_unknown_one_is_other() {
    let metrics = metrics();
    let meter = metrics.server("s").tool("t");
    for end in server::CALL_ENDS {
        meter.began();
        meter.ended(end, Duration::ZERO);
    }
    assert_eq!(calls(&text(&metrics)).len(), server::CALL_ENDS.len());
    meter.began();
    meter.ended("surprise", Duration::ZERO);
    let text = text(&metrics);
    assert!(!text.contains("surprise"));
    assert_eq!(text.matches(r#"_count{error_type="_OTHER""#).count(), 1);
}

#[test]
fn further_tools_are_other_tools() {
    let metrics = metrics();
    let count = |server: &Arc<ServerMetrics>, tool: &str| {
        let meter = server.tool(tool);
        meter.began();
        meter.ended("ok", Duration::ZERO);
    };
    let servers: Vec<_> = (0..12).map(|number| metrics.server(&format!("s{number}"))).collect();
    for server in &servers {
        for number in 0..TOOLS_OF_A_SERVER + 50 {
            count(server, &format!("t{number}"));
        }
        count(server, &"long".repeat(40));
        count(server, "");
        // A name that has its series keeps it.
        count(server, "t0");
    }
    let shown = text(&metrics);
    let other = |server: &str| {
        format!(
            r#"mcp_client_operation_duration_seconds_count{{error_type="",gen_ai_tool_name="_other",mcp_method_name="tools/call",mcp_server="{server}"}}"#
        )
    };
    assert_eq!(calls(&shown).len(), TOOLS_OF_ALL + servers.len());
    assert_eq!(values(&shown, &other("s0")), [52.0]);
    // The last two found no room at all, and count all the same.
    assert_eq!(values(&shown, &other("s11")), [253.0]);
    // A server that goes makes room.
    drop(servers);
    let late = metrics.server("late");
    count(&late, "t");
    assert_eq!(calls(&text(&metrics)).len(), 1);
    assert!(text(&metrics).contains(r#"gen_ai_tool_name="t""#));
}

#[test]
fn a_server_is_shown_for_as_long_as_somebody_counts_for_it() {
    let metrics = metrics();
    let supervisor = metrics.server("s");
    supervisor.start_began();
    let meter = metrics.server("s").tool("t");
    meter.began();
    drop(supervisor);
    assert!(text(&metrics).contains(r#"mcpo_server_starts_total{mcp_server="s"} 1"#));
    meter.ended("ok", Duration::ZERO);
    drop(meter);
    assert!(!text(&metrics).contains(r#"mcp_server="s""#));
}

#[test]
fn what_is_gone_from_the_snapshot_is_gone_from_the_text() {
    let metrics = metrics();
    let server = |name: &str, state| ServerSnapshot {
        name: name.into(),
        state,
        error_type: (state == "unavailable").then_some("exited"),
        required: true,
        tools: 3,
        drifted: Some(2),
        failures: 2,
        concurrency: Some(64),
        isolated: (name == "a").then_some(4),
        token_expires: (name == "a").then(|| UNIX_EPOCH + Duration::from_millis(1_700_000_000_900)),
    };
    let servers = vec![server("a", "unavailable"), server("b\"\n", "ready")];
    let text = metrics.render(&Snapshot { servers, runtime_tasks: 5, store_is_there: Some(true) }).unwrap();
    for line in [
        r#"mcpo_server_state{mcp_server="a",state="unavailable"} 1"#,
        r#"mcpo_server_state{mcp_server="a",state="ready"} 0"#,
        r#"mcpo_server_state{mcp_server="b\"\n",state="ready"} 1"#,
        r#"mcpo_server_unavailable_reason{error_type="exited",mcp_server="a"} 1"#,
        r#"mcpo_server_concurrency_limit{mcp_server="a"} 64"#,
        r#"mcpo_server_tools{mcp_server="a"} 3"#,
        r#"mcpo_isolated_connections{mcp_server="a"} 4"#,
        r#"mcpo_oauth_token_expiry_timestamp_seconds{mcp_server="a"} 1700000000"#,
        "mcpo_runtime_tasks 5",
        "mcpo_shared_store_up 1",
        "mcpo_log_lines_dropped_total 7",
        "mcpo_audit_records_lost_total 3",
    ] {
        assert!(text.contains(&format!("{line}\n")), "{line} is not in\n{text}");
    }
    assert_eq!(text.matches("mcpo_server_unavailable_reason{").count(), 1);
    assert_eq!(text.matches("mcpo_oauth_token_expiry_timestamp_seconds{").count(), 1);
    let text = metrics.render(&Snapshot::default()).unwrap();
    assert!(!text.contains("mcp_server=") && !text.contains("mcpo_shared_store_up"), "{text}");
}

#[test]
fn requests_are_counted_by_route_and_status_whatever_their_end() {
    let metrics = metrics();
    let http = metrics.http();
    http.request("POST", http::CALL_ROUTE).answered(200);
    http.request("POST", http::CALL_ROUTE).answered(200);
    http.request("POST", http::CALL_ROUTE).answered(418);
    http.request("POST", http::MCP_ROUTES[1]).answered(200);
    http.request("GET", http::CALL_ROUTE).answered(200);
    http.request("BREW", "").answered(404);
    drop(http.request("POST", http::CALL_ROUTE));
    let panicking = std::panic::AssertUnwindSafe(|| {
        let _timer = http.request("GET", "/servers");
        panic!("boom");
    });
    assert!(std::panic::catch_unwind(panicking).is_err());
    let text = text(&metrics);
    for (method, route, status, count) in [
        ("POST", http::CALL_ROUTE, "200", 2.0),
        ("POST", http::CALL_ROUTE, "418", 1.0),
        ("POST", http::MCP_ROUTES[1], "200", 1.0),
        ("GET", http::CALL_ROUTE, "200", 1.0),
        ("_OTHER", "", "404", 1.0),
        ("POST", http::CALL_ROUTE, "", 1.0),
        ("GET", "/servers", "500", 1.0),
    ] {
        let series = format!(
            r#"http_server_request_duration_seconds_count{{http_request_method="{method}",http_response_status_code="{status}",http_route="{route}"}}"#
        );
        assert_eq!(values(&text, &series), [count], "{series}");
    }
}

#[test]
fn connections_and_refusals_are_counted() {
    let metrics = metrics();
    let http = metrics.http();
    http.limit_connections(1000);
    let open = http.connection();
    drop(http.connection());
    http.refused("wrong_key");
    let shown = text(&metrics);
    assert_eq!(values(&shown, "mcpo_connections_open "), [1.0]);
    assert_eq!(values(&shown, "mcpo_connections_limit "), [1000.0]);
    assert_eq!(values(&shown, r#"mcpo_refusals_total{code="wrong_key"} "#), [1.0]);
    drop(open);
    assert_eq!(values(&text(&metrics), "mcpo_connections_open "), [0.0]);
}

#[test]
fn a_reload_that_failed_is_seen_until_one_succeeds() {
    let metrics = metrics();
    let shown = |metrics: &Metrics| {
        let text = text(metrics);
        [
            values(&text, "mcpo_config_last_reload_successful ")[0],
            values(&text, r#"mcpo_config_reloads_total{outcome="success"}"#)[0],
            values(&text, r#"mcpo_config_reloads_total{outcome="failure"}"#)[0],
        ]
    };
    assert!(values(&text(&metrics), "mcpo_config_last_reload_success_timestamp_seconds ")[0] > 1.7e9);
    assert_eq!(shown(&metrics), [1.0, 0.0, 0.0]);
    metrics.reloaded(false);
    assert_eq!(shown(&metrics), [0.0, 0.0, 1.0]);
    metrics.reloaded(true);
    assert_eq!(shown(&metrics), [1.0, 1.0, 1.0]);
}

#[test]
fn a_tally_sums_up_the_calls_of_the_tools_that_count() {
    let metrics = metrics();
    let server = metrics.server("s");
    assert_eq!(server.call_summary(|_| true), CallSummary::default());
    let end = |tool: &str, end: &'static str, milliseconds: u64| {
        let meter = server.tool(tool);
        meter.began();
        meter.ended(end, Duration::from_millis(milliseconds));
    };
    for _ in 0..98 {
        end("fast", "ok", 4);
    }
    end("slow", "tool_error", 1_500);
    end("slow", "ok", 1_500);
    end("slow", "deadline", 60_000);
    end("slow", "deadline", 60_000);
    let all = server.call_summary(|_| true);
    assert_eq!((all.total, all.failed), (102, 3));
    assert_eq!(all.failures, [("deadline", 2), ("tool_error", 1)].into());
    // A deadline is no answer: 98 answers of 4 ms and two of 1.5 s.
    assert_eq!(all.mean_ms, Some(33.92));
    // Linear within the bucket from 2 to 5 ms, which holds 98 of the 100.
    assert_eq!(all.p95_ms, Some(4.91));
    let fast = server.call_summary(|tool| tool == "fast");
    assert_eq!((fast.total, fast.failed, fast.mean_ms), (98, 0, Some(4.0)));
    let slow = server.call_summary(|tool| tool == "slow");
    assert_eq!((slow.total, slow.failed, slow.p95_ms), (4, 3, Some(1_950.0)));
}

#[test]
fn a_tally_beyond_the_greatest_bound_is_that_bound_and_without_answers_there_is_no_time() {
    let metrics = metrics();
    let server = metrics.server("s");
    let meter = server.tool("t");
    meter.began();
    meter.ended("cancelled", Duration::from_secs(1));
    let tally = server.call_summary(|_| true);
    assert_eq!((tally.total, tally.failed, tally.mean_ms, tally.p95_ms), (1, 1, None, None));
    meter.began();
    meter.ended("ok", Duration::from_secs(3_600));
    assert_eq!(server.call_summary(|_| true).p95_ms, Some(300_000.0));
}
