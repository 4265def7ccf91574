//! The page of the gateway's own authorization server, which asks for an API key.

use axum::response::Response;
use http::{HeaderValue, StatusCode, header};

use super::page::page;
use crate::http::answer::ERROR_CODE;
use crate::http::page::escaped;

/// What the page of a sign-in shows.
pub struct KeyQuestion<'a> {
    /// The name of the gateway.
    pub gateway: &'a str,
    /// The name that the client gives itself.
    pub client: &'a str,
    /// Where the browser will lead back to.
    pub host: &'a str,
    /// The token of the form.
    pub form: &'a str,
    /// Where the browser tells the client that the person declined.
    pub declined: &'a str,
}

/// Asks for the key; `refusal` says what was wrong with the one before.
pub fn question(question: &KeyQuestion<'_>, refusal: Option<(StatusCode, &'static str, &str)>) -> Response {
    let [gateway, client, host, form, declined] =
        [question.gateway, question.client, question.host, question.form, question.declined].map(escaped);
    let said = match refusal {
        Some((_, _, why)) => format!("<p id=\"refused\" role=\"alert\"><b>{}</b></p>", escaped(why)),
        None => String::new(),
    };
    let body = format!(
        "<p>A program that calls itself <b id=\"client\">{client}</b> wants to use the tools of <b>{gateway}</b>. \
         It will get the answer at <b id=\"host\">{host}</b>.</p>\
         <p>If you did not just ask it to, close this page. With an API key it may do all that this key opens, until it \
         signs out or the key is changed.</p>{said}\
         <form method=\"post\" action=\"authorize\"><input type=\"hidden\" name=\"request\" value=\"{form}\">\
         <p><label for=\"key\">API key</label><br><input id=\"key\" name=\"key\" type=\"password\" \
         autocomplete=\"current-password\" required autofocus></p>\
         <p><button id=\"sign-in\">Let {client} in</button> <a id=\"decline\" href=\"{declined}\">Decline</a></p></form>"
    );
    let (status, code) = refusal.map_or((StatusCode::OK, None), |(status, code, _)| (status, Some(code)));
    framed_nowhere(page(status, &format!("Sign in to {gateway}"), &body, "same-origin"), code)
}

/// Says why a sign-in cannot begin; `back` is where the client may be told so.
pub fn refused(why: &str, back: Option<(&str, &str)>) -> Response {
    let back = back.map_or_else(String::new, |(host, address)| {
        let [host, address] = [host, address].map(escaped);
        format!("<p><a id=\"back\" href=\"{address}\">Tell the program, at {host}</a></p>")
    });
    let why = escaped(why);
    let body = format!("<p id=\"failed\">The program that led you here cannot be let in: {why}.</p>{back}");
    framed_nowhere(page(StatusCode::BAD_REQUEST, "Not signed in", &body, "no-referrer"), Some("bad_sign_in"))
}

/// For browsers that do not know `frame-ancestors`.
fn framed_nowhere(mut response: Response, code: Option<&'static str>) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    if let Some(code) = code {
        headers.insert(ERROR_CODE, HeaderValue::from_static(code));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_a_client_wrote_cannot_become_markup() {
        let evil = "\"><script>alert(1)</script>";
        let asked = KeyQuestion { gateway: evil, client: evil, host: evil, form: evil, declined: evil };
        let wrong = Some((StatusCode::FORBIDDEN, "wrong_key", evil));
        for response in [question(&asked, None), question(&asked, wrong), refused(evil, Some((evil, evil)))] {
            assert_eq!(response.headers()[header::X_FRAME_OPTIONS], "DENY");
            let policy = response.headers()[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
            assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"));
            let body = axum::body::to_bytes(response.into_body(), 1 << 16).await.unwrap();
            let html = String::from_utf8(body.to_vec()).unwrap();
            assert!(html.contains("&lt;") && !html.contains("<script"), "{html}");
        }
    }
}
