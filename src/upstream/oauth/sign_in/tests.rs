use super::*;

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
