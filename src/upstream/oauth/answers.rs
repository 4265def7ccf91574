//! Normalizes the responses of authorization servers to the form of the standards. Each oddity here occurs on real
//! servers, and the official SDKs accept it.

use http::header::CONTENT_TYPE;
use http::{HeaderValue, StatusCode};
use oauth2::HttpResponse;
use serde_json::{Map, Value, json};
use url::{Url, form_urlencoded};

use crate::upstream::oauth::dpop;

type JsonObject = Map<String, Value>;

/// Members of metadata that hold a string, and those that hold a list of strings.
const TEXTS: [&str; 6] =
    ["issuer", "authorization_endpoint", "token_endpoint", "registration_endpoint", "jwks_uri", "resource"];
const LISTS: [&str; 6] = [
    "authorization_servers",
    "scopes_supported",
    "response_types_supported",
    "grant_types_supported",
    "code_challenge_methods_supported",
    "token_endpoint_auth_methods_supported",
];

/// Errors that are not about the `resource`, whatever their description says.
const OTHER_ERRORS: [&str; 5] =
    ["invalid_client", "invalid_grant", "unauthorized_client", "invalid_scope", "access_denied"];

/// Normalizes the response of a token endpoint to RFC 6749. A token has the type `Bearer` unless another is named,
/// and a lifetime in whole seconds; an error has an error status and a code.
pub fn of_token_endpoint(response: HttpResponse) -> HttpResponse {
    let members = object(response.body()).or_else(|| form(response.body()));
    let is_success = response.status().is_success();
    match members {
        Some(members) if is_success && members.contains_key("access_token") => {
            written(StatusCode::OK, granted(members))
        }
        Some(members) if members.get("error").is_some_and(Value::is_string) => {
            written(if is_success { StatusCode::BAD_REQUEST } else { response.status() }, members)
        }
        Some(_) | None if is_success => response,
        members => {
            let status = response.status();
            let code = format!("http_{}", status.as_u16());
            let words = members.as_ref().and_then(words).unwrap_or_else(|| status.to_string());
            written(
                status,
                Map::from_iter([("error".into(), code.into()), ("error_description".into(), words.into())]),
            )
        }
    }
}

fn granted(mut members: JsonObject) -> JsonObject {
    let text = |value: &Value| value.as_str().is_some_and(|text| !text.is_empty());
    if !members.get("token_type").is_some_and(text) {
        members.insert("token_type".into(), "Bearer".into());
    }
    if !members.get("refresh_token").is_some_and(text) {
        members.remove("refresh_token");
    }
    if let Some(Value::Array(scopes)) = members.get("scope") {
        let scopes: Vec<&str> = scopes.iter().filter_map(Value::as_str).collect();
        members.insert("scope".into(), scopes.join(" ").into());
    }
    if !members.get("scope").is_some_and(text) {
        members.remove("scope");
    }
    let lifetime = members.remove("expires_in").and_then(|value| match value {
        Value::String(text) => text.trim().parse::<f64>().ok(),
        other => other.as_f64(),
    });
    // Nothing is what some servers say of a token that does not end.
    if let Some(seconds) = lifetime.filter(|seconds| *seconds >= 1.0) {
        members.insert("expires_in".into(), json!(seconds as u64));
    }
    members
}

/// The words of an error that is written in no shape of OAuth.
fn words(members: &JsonObject) -> Option<String> {
    let nested = members.get("error").and_then(Value::as_object);
    let all = [Some(members), nested].into_iter().flatten();
    let found =
        all.flat_map(|members| ["error_description", "message", "detail"].map(|name| members.get(name)));
    found.flatten().find_map(Value::as_str).map(str::to_owned)
}

/// Whether a token endpoint refuses a request for its `resource` (RFC 8707, section 2). `response` is one of
/// [`of_token_endpoint`].
pub fn refuses_resource(response: &HttpResponse) -> bool {
    if !response.status().is_client_error() {
        return false;
    }
    let members = object(response.body()).unwrap_or_default();
    let text = |name: &str| members.get(name).and_then(Value::as_str).unwrap_or_default();
    let error = text("error");
    error == "invalid_target"
        || !OTHER_ERRORS.contains(&error)
            && (error.contains("resource")
                || text("error_description").to_ascii_lowercase().contains("resource"))
}

/// Whether a token endpoint refuses a request for its nonce alone (RFC 9449, section 8).
pub fn wants_nonce(response: &HttpResponse) -> bool {
    let error = object(response.body()).and_then(|mut members| members.remove("error"));
    response.status().is_client_error() && error.is_some_and(|error| error == dpop::USE_NONCE)
}

/// Whether a server's metadata say that it takes only bound tokens (DPoP).
///
/// RFC 9728, section 2.
pub fn wants_bound(response: &HttpResponse) -> bool {
    let members = object(response.body()).filter(|_| response.status().is_success());
    members
        .is_some_and(|members| members.get("dpop_bound_access_tokens_required") == Some(&Value::Bool(true)))
}

/// Removes members from a metadata document that are null or of a wrong type. A string in place of a list becomes a
/// list.
pub fn of_metadata(response: HttpResponse) -> HttpResponse {
    let Some(mut members) = object(response.body()).filter(|_| response.status().is_success()) else {
        return response;
    };
    members.retain(|_, value| !value.is_null());
    for name in TEXTS {
        if members.get(name).is_some_and(|value| value.as_str().is_none_or(str::is_empty)) {
            members.remove(name);
        }
    }
    for name in LISTS {
        match members.get_mut(name) {
            None => {}
            Some(Value::Array(elements)) => elements.retain(Value::is_string),
            Some(Value::String(text)) => {
                let list = text.split_whitespace().map(Value::from).collect();
                members.insert(name.to_owned(), Value::Array(list));
            }
            Some(_) => {
                members.remove(name);
            }
        }
    }
    written(StatusCode::OK, members)
}

/// Replaces the `resource` of a document by `own` when only slashes at the end differ. Returns the published one.
pub fn with_own_resource(response: HttpResponse, own: &Url) -> (HttpResponse, Option<String>) {
    let members = object(response.body()).filter(|_| response.status().is_success());
    let published = members.as_ref().and_then(|members| Url::parse(members.get("resource")?.as_str()?).ok());
    let is_own = |published: &Url| {
        let bare = |url: &Url| url.as_str().trim_end_matches('/').to_owned();
        published != own && bare(published) == bare(own)
    };
    match members {
        Some(mut members) if published.as_ref().is_some_and(is_own) => {
            let published = members.insert("resource".into(), own.as_str().into());
            let published = published.and_then(|published| published.as_str().map(str::to_owned));
            (written(StatusCode::OK, members), published)
        }
        _ => (response, None),
    }
}

fn object(body: &[u8]) -> Option<JsonObject> {
    serde_json::from_slice(body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body)).ok()
}

/// A form, as GitHub answers with one.
fn form(body: &[u8]) -> Option<JsonObject> {
    let is_form = |byte: &u8| byte.is_ascii_graphic() && !matches!(byte, b'<' | b'{' | b'"');
    let body = body.trim_ascii();
    if body.is_empty() || !body.iter().all(is_form) || !body.contains(&b'=') {
        return None;
    }
    Some(form_urlencoded::parse(body).map(|(name, value)| (name.into_owned(), value.into())).collect())
}

fn written(status: StatusCode, members: JsonObject) -> HttpResponse {
    let mut response = HttpResponse::new(Value::Object(members).to_string().into_bytes());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(status: u16, body: &str) -> HttpResponse {
        http::Response::builder().status(status).body(body.as_bytes().to_vec()).unwrap()
    }

    fn read(response: &HttpResponse) -> (u16, Value) {
        (response.status().as_u16(), serde_json::from_slice(response.body()).unwrap_or_default())
    }

    fn token(body: &str) -> Value {
        let (status, body) = read(&of_token_endpoint(response(200, body)));
        assert_eq!(status, 200, "{body}");
        body
    }

    #[test]
    fn a_token_is_read_as_far_as_it_can_be_used() {
        let plain = json!({"access_token": "t", "token_type": "Bearer"});
        for body in [
            r#"{"access_token":"t"}"#,
            r#"{"access_token":"t","token_type":null,"expires_in":null,"scope":null,"refresh_token":""}"#,
            r#"{"access_token":"t","token_type":"","expires_in":0,"scope":[],"refresh_token":false}"#,
            r#"{"access_token":"t","expires_in":"soon","scope":""}"#,
            "access_token=t&scope=&token_type=Bearer",
            "\u{feff}{\"access_token\":\"t\"}",
        ] {
            assert_eq!(token(body), plain, "{body}");
        }
        for lifetime in ["3600", "3600.0", "3600.9", "\"3600\"", "\" 3600.5 \""] {
            let body = format!(r#"{{"access_token":"t","expires_in":{lifetime}}}"#);
            assert_eq!(token(&body)["expires_in"], 3600, "{lifetime}");
        }
        assert_eq!(token(r#"{"access_token":"t","scope":["a","b",1],"own":1}"#)["scope"], "a b");
        assert_eq!(token("access_token=a%20b&expires_in=7&refresh_token=r")["refresh_token"], "r");
        assert_eq!(token(r#"{"access_token":"t","token_type":"bearer"}"#)["token_type"], "bearer");
    }

    #[test]
    fn an_error_has_a_code_and_a_status_whatever_it_was_written_in() {
        for (given, body, status, error, words) in [
            (200, r#"{"error":"bad_code","error_description":"expired"}"#, 400, "bad_code", "expired"),
            (200, "error=bad_code&error_description=is+expired", 400, "bad_code", "is expired"),
            (401, r#"{"error":"invalid_client","error_description":"no"}"#, 401, "invalid_client", "no"),
            (403, r#"{"message":"not here"}"#, 403, "http_403", "not here"),
            (400, r#"{"error":{"message":"deep"}}"#, 400, "http_400", "deep"),
            (503, "<html>", 503, "http_503", "503 Service Unavailable"),
            (500, "", 500, "http_500", "500 Internal Server Error"),
        ] {
            let (found, body) = read(&of_token_endpoint(response(given, body)));
            assert_eq!(
                (found, &body["error"], &body["error_description"]),
                (status, &json!(error), &json!(words))
            );
        }
        let page = of_token_endpoint(response(200, "<html>a=b</html>"));
        assert_eq!(
            page.body(),
            b"<html>a=b</html>",
            "what is no answer at all stays for its reader to refuse"
        );
    }

    #[test]
    fn a_resource_is_refused_in_the_words_of_many_servers_and_others_refuse_something_else() {
        let refuses = |body: &str| refuses_resource(&of_token_endpoint(response(400, body)));
        for body in [
            r#"{"error":"invalid_target"}"#,
            r#"{"error":"invalid_request","error_description":"The 'resource' request parameter is not supported."}"#,
            r#"{"error":"unsupported_resource"}"#,
            "error=invalid_request&error_description=unknown+parameter:+Resource",
            r#"{"message":"unknown field resource"}"#,
        ] {
            assert!(refuses(body), "{body}");
        }
        for body in [
            r#"{"error":"invalid_grant","error_description":"the resource owner is gone"}"#,
            r#"{"error":"invalid_request","error_description":"code is missing"}"#,
            r#"{"error":"invalid_client"}"#,
            "<html>",
        ] {
            assert!(!refuses(body), "{body}");
        }
        let granted = of_token_endpoint(response(200, r#"{"access_token":"resource"}"#));
        assert!(!refuses_resource(&granted));
    }

    #[test]
    fn metadata_lose_what_is_null_or_of_a_wrong_type_and_nothing_else() {
        let body = json!({
            "issuer": "https://a.test", "jwks_uri": null, "registration_endpoint": "", "token_endpoint": 5,
            "scopes_supported": "a b", "authorization_servers": "https://a.test", "own": {"deep": null},
            "response_types_supported": ["code", null], "grant_types_supported": {},
        });
        let kept = json!({
            "issuer": "https://a.test", "scopes_supported": ["a", "b"], "authorization_servers": ["https://a.test"],
            "own": {"deep": null}, "response_types_supported": ["code"],
        });
        assert_eq!(read(&of_metadata(response(200, &body.to_string()))), (200, kept));
        assert_eq!(of_metadata(response(404, "{\"issuer\":null}")).body(), b"{\"issuer\":null}");
        assert_eq!(of_metadata(response(200, "<html>")).body(), b"<html>");
    }

    #[test]
    fn a_resource_that_differs_by_its_last_slash_is_the_servers_own() {
        let of = |published: &str, own: &str| {
            let body = json!({ "resource": published }).to_string();
            let (response, original) = with_own_resource(response(200, &body), &Url::parse(own).unwrap());
            (read(&response).1["resource"].as_str().unwrap().to_owned(), original)
        };
        let (slash, bare) = ("https://a.test/mcp/", "https://a.test/mcp");
        assert_eq!(of(slash, bare), (bare.into(), Some(slash.into())));
        assert_eq!(of(bare, slash), (slash.into(), Some(bare.into())));
        assert_eq!(of(bare, bare), (bare.into(), None));
        assert_eq!(of("https://a.test/", bare), ("https://a.test/".into(), None));
        assert_eq!(of("https://b.test/mcp/", bare), ("https://b.test/mcp/".into(), None));
    }
}
