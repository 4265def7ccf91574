//! The recordings' labels stand in the tables; where ours differs on purpose, a comment says so.

use futures_util::FutureExt as _;

use super::*;
use crate::config::{ProfileConfig, RightsConfig, SecretText};

/// In mcpo these are one header.
const BOTH: &str = "Bearer; Basic realm=\"mcpo\", charset=\"UTF-8\"";
const BASIC_OK: &str = "Basic YW55OnMzY3IzdA==";
const BASIC_BAD: &str = "Basic YW55Ong=";

fn key(name: &str, key: &str) -> ApiKeyConfig {
    ApiKeyConfig::new(name, SecretText::literal(key))
}

fn with_rights(name: &str, rights: RightsConfig) -> ApiKeyConfig {
    ApiKeyConfig { rights, ..key(name, name) }
}

fn keys(keys: Vec<ApiKeyConfig>, strict: bool) -> Keys {
    Keys::new(&AuthConfig { keys, strict, ..AuthConfig::default() }, None, &Arc::default()).unwrap()
}

fn head(authorization: Option<&str>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    if let Some(value) = authorization {
        headers.insert(header::AUTHORIZATION, value.parse().unwrap());
    }
    headers
}

/// Without issuers an admission waits for nothing.
fn admitted(keys: &Keys, headers: &HeaderMap, access: Access) -> Result<Caller, Refusal> {
    keys.admit(headers, access).now_or_never().expect("it waits for nothing")
}

/// Status, sentence and challenge of a refusal; 200 for a caller that was let in.
async fn outcome(keys: &Keys, authorization: Option<&str>, access: Access) -> (u16, String, String) {
    match keys.admit(&head(authorization), access).await {
        Ok(_) => (200, String::new(), String::new()),
        Err(refusal) => {
            let response = refusal.into_response();
            let challenges = response.headers().get_all(header::WWW_AUTHENTICATE).iter();
            let challenges: Vec<&str> = challenges.map(|value| value.to_str().unwrap()).collect();
            let challenge = challenges.join("; ");
            let status = response.status().as_u16();
            let body = axum::body::to_bytes(response.into_body(), 4096).await.unwrap();
            let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
            (status, body["detail"].as_str().unwrap().to_owned(), challenge)
        }
    }
}

async fn expect(keys: &Keys, table: &[(Option<&str>, u16, &str, &str)]) {
    for (authorization, status, detail, challenge) in table {
        let found = outcome(keys, *authorization, Access::Call).await;
        assert_eq!(
            found,
            (*status, (*detail).to_owned(), (*challenge).to_owned()),
            "Authorization: {authorization:?}"
        );
    }
}

#[tokio::test]
async fn calls_are_refused_in_mcpos_words() {
    let missing = "Missing or invalid Authorization header";
    expect(
        &keys(vec![key("one", "s3cr3t")], false),
        &[
            (None, 401, missing, "Bearer"),
            (Some("Bearer s3cr3t"), 200, "", ""),
            (Some("bearer s3cr3t"), 200, "", ""),
            (Some("Bearer nope"), 403, "Invalid API key", ""),
            (Some("Bearer "), 401, missing, "Bearer"),
            (Some("Bearer"), 401, missing, "Bearer"),
            (Some("Bearer s3cr3t "), 200, "", ""),
            // mcpo: 401. Basic opens everything here, not only documents.
            (Some(BASIC_OK), 200, "", ""),
            (Some(BASIC_BAD), 401, missing, "Bearer"),
            (Some("Basic !!!"), 401, missing, "Bearer"),
            (Some("Digest x"), 401, missing, "Bearer"),
            (Some("s3cr3t"), 401, missing, "Bearer"),
        ],
    )
    .await;
}

#[tokio::test]
async fn strict_refusals_are_mcpos_too() {
    expect(
        &keys(vec![key("one", "s3cr3t")], true),
        &[
            (None, 401, "Missing or invalid Authorization header", BOTH),
            (Some("Bearer s3cr3t"), 200, "", ""),
            // mcpo: 401 Unsupported authorization method. A scheme has no case (RFC 9110).
            (Some("bearer s3cr3t"), 200, "", ""),
            (Some("Bearer nope"), 403, "Invalid API key", ""),
            (Some("Bearer "), 401, "Unsupported authorization method", BOTH),
            // mcpo: opens documents and fails on tools.
            (Some(BASIC_OK), 200, "", ""),
            (Some(BASIC_BAD), 403, "Invalid credentials", ""),
            (Some("Basic !!!"), 401, "Invalid Basic Authentication format", BOTH),
            (Some("Basic czNjcjN0"), 401, "Invalid Basic Authentication format", BOTH),
            (Some("Digest x"), 401, "Unsupported authorization method", BOTH),
            (Some("s3cr3t"), 401, "Unsupported authorization method", BOTH),
        ],
    )
    .await;
}

#[tokio::test]
async fn documents_are_open_until_strict_mode_or_a_limited_key_locks_them() {
    let mut limited = key("reader", "r");
    limited.rights.read_only = true;
    for (keys, status, challenge) in [
        (keys(vec![key("one", "s")], false), 200, ""),
        (keys(vec![key("one", "s")], true), 401, BOTH),
        (keys(vec![key("one", "s"), limited], false), 401, BOTH),
    ] {
        let (found, _, found_challenge) = outcome(&keys, None, Access::Document).await;
        assert_eq!((found, found_challenge.as_str()), (status, challenge));
        assert_eq!(outcome(&keys, None, Access::Open).await.0, 200);
        assert_eq!(outcome(&keys, Some("Bearer wrong"), Access::Open).await.0, 200);
        assert_eq!(outcome(&keys, None, Access::Call).await.0, 401);
        assert_eq!(outcome(&keys, Some("Bearer s"), Access::Document).await.0, 200);
    }
}

#[test]
fn without_keys_anybody_is_admin_of_everything() {
    let keys = keys(vec![], true);
    let caller = admitted(&keys, &head(None), Access::Call).unwrap();
    assert!(keys.is_open() && caller.admin && caller.scope.is_unlimited() && caller.principal.is_anonymous());
}

#[test]
fn the_caller_is_the_key_it_presents_on_every_route() {
    let mut admin = key("admin", "a");
    admin.rights.admin = true;
    let keys = keys(vec![key("one", "o"), admin, key("three", "t")], false);
    for access in [Access::Open, Access::Document, Access::Call] {
        let caller = admitted(&keys, &head(Some("Bearer a")), access).unwrap();
        assert_eq!((caller.principal.key_name(), caller.admin), (Some("admin"), true));
        let caller = admitted(&keys, &head(Some("Bearer t")), access).unwrap();
        assert_eq!((caller.principal.key_name(), caller.admin), (Some("three"), false));
    }
    assert!(!admitted(&keys, &head(None), Access::Open).unwrap().admin);
}

#[test]
fn equal_scopes_share_an_index_and_the_anonymous_scope_sees_nothing() {
    let limited = |name: &str, servers: &[&str], read_only| {
        let servers = Some(servers.iter().map(|server| (*server).to_owned()).collect());
        with_rights(name, RightsConfig { servers, read_only, ..RightsConfig::default() })
    };
    let keys = keys(
        vec![
            key("all", "all"),
            limited("everything", &["*"], false),
            limited("a", &["x", "y*"], false),
            limited("b", &["y*", "x", "x"], false),
            limited("c", &["x"], true),
        ],
        false,
    );
    let index = |name: &str| {
        admitted(&keys, &head(Some(&format!("Bearer {name}"))), Access::Call).unwrap().scope.index
    };
    assert_eq!(["all", "everything", "a", "b", "c"].map(index), [0, 0, 1, 1, 2]);
    assert_eq!(keys.scopes().iter().map(|scope| scope.index).collect::<Vec<_>>(), [0, 1, 2, 3]);
    let anonymous = admitted(&keys, &head(None), Access::Open).unwrap().scope;
    let server = crate::config::ServerName::new("x").unwrap();
    assert!(keys.scopes()[1].allows_server(&server));
    assert!(
        anonymous.index == 3
            && !anonymous.allows_server(&server)
            && !anonymous.allows_tool(&server, "t", false)
    );
}

#[test]
fn two_authorization_headers_open_nothing() {
    let keys = keys(vec![key("one", "s")], false);
    let mut headers = head(Some("Bearer s"));
    headers.append(header::AUTHORIZATION, "Bearer s".parse().unwrap());
    assert!(admitted(&keys, &headers, Access::Call).is_err());
}

#[test]
fn unusable_keys_stop_the_start_and_are_named() {
    let unusable = |keys: Vec<ApiKeyConfig>| {
        Keys::new(&AuthConfig { keys, ..AuthConfig::default() }, None, &Arc::default())
            .unwrap_err()
            .to_string()
    };
    assert!(unusable(vec![key("blank", " \n")]).contains("`blank` is empty"));
    let same = unusable(vec![key("one", "s3cr3t"), key("two", "s3cr3t")]);
    assert!(same.contains("`one` and `two`") && !same.contains("s3cr3t"), "{same}");
    let servers = Some(vec!["a[".to_owned()]);
    let bad = with_rights("glob", RightsConfig { servers, ..RightsConfig::default() });
    assert!(unusable(vec![bad]).contains("`glob`"));
}

#[test]
fn whatever_holds_a_key_of_the_gateway_is_its_own_and_nothing_else_is() {
    let locked = keys(vec![key("a", "s3cr3t"), key("b", "other")], false);
    let open = keys(Vec::new(), false);
    for (name, value, own) in [
        ("authorization", "Bearer s3cr3t", true),
        ("authorization", "Bearer of-somebody-else", true),
        ("x-api-key", "s3cr3t", true),
        ("x-api-key", "other", true),
        ("x-copy", "bearer  s3cr3t", true),
        ("x-copy", BASIC_OK, true),
        ("x-copy", BASIC_BAD, false),
        ("x-user", "ada", false),
        ("x-user", "s3cr3t-and-more", false),
        ("x-user", "", false),
    ] {
        let name = HeaderName::from_static(name);
        let value = HeaderValue::from_static(value);
        assert_eq!(locked.is_own(&name, &value), own, "{name}: {value:?}");
        assert!(!open.is_own(&name, &value), "{name}: {value:?}");
    }
}

#[test]
fn a_profile_narrows_what_a_key_opens_and_never_widens_it() {
    let profile = |name: &str, servers: &[&str]| ProfileConfig {
        name: name.to_owned(),
        servers: Some(servers.iter().map(|server| (*server).to_owned()).collect()),
        tools: None,
    };
    let config = AuthConfig {
        keys: vec![
            key("all", "all"),
            with_rights("a", RightsConfig { servers: Some(vec!["a".to_owned()]), ..RightsConfig::default() }),
            with_rights(
                "shown-a",
                RightsConfig { profile: Some("of-a".to_owned()), ..RightsConfig::default() },
            ),
        ],
        profiles: vec![profile("of-a", &["a"]), profile("of-b", &["b"])],
        ..AuthConfig::default()
    };
    let keys = Keys::new(&config, None, &Arc::default()).unwrap();
    let in_profile = |name: &str, profile: Option<&str>| {
        let bearer = format!("Bearer {name}").parse().unwrap();
        let caller =
            admitted(&keys, &HeaderMap::from_iter([(header::AUTHORIZATION, bearer)]), Access::Call).unwrap();
        keys.again(&Caller { profile: profile.map(Arc::from), ..caller })
    };
    let sees = |name: &str, profile: Option<&str>| {
        let scope = in_profile(name, profile).unwrap().scope;
        ["a", "b"].map(|server| scope.allows_server(&crate::config::ServerName::new(server).unwrap()))
    };
    assert_eq!(sees("all", None), [true, true]);
    assert_eq!(sees("all", Some("of-b")), [false, true]);
    assert_eq!(sees("a", Some("of-b")), [false, false]);
    assert_eq!(sees("shown-a", None), [true, false]);
    assert_eq!(sees("shown-a", Some("of-b")), [false, false]);
    assert_eq!(sees("shown-a", Some("of-a")), [true, false]);
    assert!(in_profile("all", Some("of-c")).is_none());
    // Only what is shown is less: the key itself opens what it did.
    assert!(in_profile("shown-a", Some("of-b")).unwrap().reach.is_unlimited());
    // Each distinct scope once, and documents for those of keys alone.
    let index = |name, profile| in_profile(name, profile).unwrap().scope.index;
    assert_eq!(index("all", Some("of-a")), index("shown-a", None));
    assert!(index("all", Some("of-b")) >= keys.scopes().len() && keys.scope_count() > keys.scopes().len());

    let missing =
        with_rights("one", RightsConfig { profile: Some("none".to_owned()), ..RightsConfig::default() });
    let config = AuthConfig { keys: vec![missing], ..AuthConfig::default() };
    let error = Keys::new(&config, None, &Arc::default()).unwrap_err();
    assert!(error.to_string().contains("`one` names the profile `none`"), "{error}");
}
