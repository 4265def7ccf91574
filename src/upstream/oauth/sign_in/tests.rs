use std::sync::Weak;

use rmcp::transport::auth::{AuthorizationManager, AuthorizationMetadata};

use super::*;
use crate::upstream::oauth::metadata_client::{MetadataClient, RmcpHttpClient};

async fn open(secret: &str) -> PendingSignIn {
    let url = Url::parse("http://localhost:1/mcp").unwrap();
    let http = Arc::new(MetadataClient::new(Arc::default(), &url).await);
    let manager = AuthorizationManager::new_with_oauth_http_client(
        url.as_str(),
        Arc::new(RmcpHttpClient(http.clone())),
    );
    let (manager, resource) = (manager.await.unwrap(), url.to_string());
    let found = AuthorizationServer { manager, metadata: AuthorizationMetadata::default(), http, resource };
    PendingSignIn {
        authorizer: Weak::new(),
        browser: Sha256::digest(secret).into(),
        began: Instant::now(),
        found: Box::new(found),
        client: None,
    }
}

#[tokio::test(start_paused = true)]
async fn a_sign_in_lives_ten_minutes() {
    let sign_ins = SignIns::default();
    for (state, minutes, counts) in [("early", 9, true), ("late", 10, false)] {
        sign_ins.add(state.into(), open("mine").await);
        tokio::time::advance(Duration::from_secs(minutes * 60)).await;
        assert_eq!(sign_ins.take(state, Some("mine")).is_ok(), counts, "{state}");
    }
    // A sign-in that is over is not kept.
    sign_ins.add("next".into(), open("mine").await);
    assert_eq!(lock(&sign_ins.0).len(), 1);
}

#[tokio::test]
async fn a_sign_in_counts_once_and_another_browser_does_not_end_it() {
    let sign_ins = SignIns::default();
    sign_ins.add("a".into(), open("mine").await);
    for secret in [None, Some(""), Some("other")] {
        assert!(matches!(sign_ins.take("a", secret), Err(SignInError::OtherBrowser)), "{secret:?}");
    }
    assert!(sign_ins.take("a", Some("mine")).is_ok());
    assert!(matches!(sign_ins.take("a", Some("mine")), Err(SignInError::Unknown)));
}

#[tokio::test]
async fn so_many_sign_ins_at_one_time_and_no_more() {
    let sign_ins = SignIns::default();
    for number in 0..=MOST {
        sign_ins.add(number.to_string(), open("mine").await);
    }
    assert_eq!(lock(&sign_ins.0).len(), MOST);
    assert!(!lock(&sign_ins.0).contains_key("0"), "the oldest had to go");
}

#[test]
fn only_an_address_of_the_machine_without_tls_is_that_of_a_native_application() {
    for (redirect_uri, kind) in [
        ("http://localhost:8000/oauth/callback", "native"),
        ("http://127.0.0.1:8000/oauth/callback", "native"),
        ("http://[::1]:8000/oauth/callback", "native"),
        ("https://localhost/oauth/callback", "web"),
        ("http://gateway.test/oauth/callback", "web"),
        ("https://mcp.example.org/oauth/callback", "web"),
    ] {
        assert_eq!(application(redirect_uri), kind, "{redirect_uri}");
    }
}

#[test]
fn an_authorization_endpoints_own_query_chooses_nothing_of_ours() {
    let mut url = Url::parse(
        "https://as.test/authorize?a=1&a=2&state=fixed&redirect_uri=http://evil.test/&client%5Fid=evil&state=again\
         &response_type=code&client_id=ours&state=secret&redirect_uri=https%3A%2F%2Fmcp.test%2Fcallback",
    )
    .unwrap();
    keep_ours(&mut url, |resource| resource + "/");
    assert_eq!(
        url.query().unwrap(),
        "a=1&a=2&response_type=code&client_id=ours&state=secret&redirect_uri=https%3A%2F%2Fmcp.test%2Fcallback"
    );
}
