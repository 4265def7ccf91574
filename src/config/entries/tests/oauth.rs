//! The entries of servers that want a sign-in.

use super::*;
use crate::config::OAuthGrant;

#[test]
fn settings_of_a_sign_in_that_do_not_belong_together_are_told() {
    for (entry, expected) in [
        (
            r#"{"type": "http", "url": "http://h", "oauth": {"grant": "client_credentials", "clientId": "x", "clientSecret": "y", "per": "user"}}"#,
            "is the same to the server for all users",
        ),
        (
            r#"{"type": "http", "url": "http://h", "oauth": {"per": "key"}}"#,
            "`key` does not say whose tokens",
        ),
        (
            r#"{"type": "http", "url": "http://h", "oauth": {"grant": "token_exchange", "clientId": "x"}}"#,
            "exchanges either the token of each caller or one `assertion`",
        ),
        (
            r#"{"type": "http", "url": "http://h", "oauth": {"grant": "token_exchange", "assertion": "x"}}"#,
            "this grant needs a `clientId`",
        ),
        (
            r#"{"type": "http", "url": "http://h", "oauth": {"grant": "token_exchange", "clientId": "x", "per": "user", "subjectType": "saml"}}"#,
            "`saml` is no type of a token",
        ),
        (r#"{"type": "http", "url": "http://h", "oauth": {"audience": "x"}}"#, "`audience` is for the grant"),
        (
            r#"{"type": "http", "url": "http://h", "oauth": {"grant": "id_jag", "clientId": "x", "assertion": "y"}}"#,
            "the grant `id_jag` and an `identityProvider` belong together",
        ),
        (
            r#"{"type": "http", "url": "http://h", "oauth": {"grant": "id_jag", "clientId": "x", "assertion": "y", "identityProvider": {"issuer": "https://i"}}}"#,
            "needs its `issuer`, and the `clientId`",
        ),
        (
            r#"{"type": "http", "url": "http://h", "oauth": {"grant": "id_jag", "clientId": "x", "identityProvider": {"issuer": "https://i", "clientId": "x"}}}"#,
            "the grant `id_jag` needs an `assertion`",
        ),
    ] {
        let errors: Vec<String> =
            read(entry).1.into_iter().filter(|problem| problem.starts_with("error: ")).collect();
        assert!(errors.len() == 1 && errors[0].contains(expected), "{entry}: {errors:?}");
    }
}

#[test]
fn a_remote_server_may_be_signed_in_to() {
    let oauth = |oauth: &str| {
        let (server, problems) = read(&format!(r#"{{"type": "http", "url": "http://h", "oauth": {oauth}}}"#));
        assert!(problems.is_empty(), "{problems:?}");
        match server.unwrap().transport {
            TransportConfig::StreamableHttp(http) => http.oauth,
            other => panic!("{other:?}"),
        }
    };
    for nothing in ["false", "{}", "null"] {
        assert_eq!(oauth(nothing), None, "{nothing}");
    }
    assert_eq!(oauth("true").unwrap().grant, OAuthGrant::AuthorizationCode);
    // What mcpo has there says where the server is, which the entry does already.
    assert_eq!(oauth(r#"{"server_url": "http://h", "storage_type": "file"}"#), oauth("true"));
    let own = oauth(
        r#"{"grant": "client_credentials", "clientId": "me", "clientSecret": "${env:SECRET}", "scopes": ["a", "b"],
            "issuer": "https://login.test/realm"}"#,
    );
    let own = own.unwrap();
    assert_eq!(own.grant, OAuthGrant::ClientCredentials);
    assert_eq!(own.client_id.as_deref(), Some("me"));
    assert_eq!(own.scopes, ["a", "b"]);
    assert_eq!(own.issuer.as_deref(), Some("https://login.test/realm"));
    assert!(own.client_secret.unwrap().is_secret());
    let own = oauth(r#"{"per": "user", "dpop": true}"#).unwrap();
    assert!(own.per_user && own.dpop == Some(true));
    let exchanged = oauth(
        r#"{"grant": "token_exchange", "per": "user", "clientId": "me", "subjectType": "jwt", "audience": "files"}"#,
    );
    let exchanged = exchanged.unwrap();
    assert_eq!(exchanged.subject_type.as_deref(), Some("urn:ietf:params:oauth:token-type:jwt"));
    let vouched = oauth(
        r#"{"grant": "id_jag", "clientId": "me", "assertion": "${file:/run/id}",
            "identityProvider": {"issuer": "https://id.test", "clientId": "we", "clientSecret": "${file:/run/x}"}}"#,
    );
    let provider = vouched.unwrap().identity_provider.unwrap();
    assert_eq!([&*provider.issuer, &*provider.client_id], ["https://id.test", "we"]);
    for grant in ["jwt_bearer", "urn:ietf:params:oauth:grant-type:jwt-bearer"] {
        let vouched = format!(r#"{{"grant": "{grant}", "assertion": "${{file:/run/token}}"}}"#);
        let vouched = oauth(&vouched).unwrap();
        assert_eq!(vouched.grant, OAuthGrant::JwtBearer);
        assert!(vouched.assertion.unwrap().is_secret());
    }
}
