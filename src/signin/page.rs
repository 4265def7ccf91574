//! The pages of a sign-in: plain, without a script, and with nothing from elsewhere.

use axum::response::{Html, IntoResponse as _, Response};
use http::{StatusCode, header};

use crate::http::page::escaped;

/// Without `form-action`: browsers apply it to redirects of a form, too, and this one leads to any authorization
/// server.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'";

const STYLE: &str = "\
    :root { color-scheme: light dark; }\
    body { font: 1rem/1.5 system-ui, sans-serif; max-width: 34rem; margin: 12vh auto; padding: 0 1.25rem; }\
    h1 { font-size: 1.4rem; }\
    input { font: inherit; padding: .5rem; width: 100%; box-sizing: border-box; }\
    button { font: inherit; padding: .6rem 1.2rem; border-radius: .5rem; border: 1px solid; cursor: pointer; }";

/// Asks whether to sign in to `server`; `start` is the address that begins it.
pub fn question(server: &str, start: &str) -> Response {
    let (server, start) = (escaped(server), escaped(start));
    let body = format!(
        "<p>The gateway needs a sign-in to the server <b>{server}</b>.</p>\
         <p><b>Your sign-in will serve all callers of the gateway.</b> Every caller of this server's tools \
         acts with the rights of the account that you sign in with.</p>\
         <form method=\"post\" action=\"{start}\"><button id=\"sign-in\">Sign in to {server}</button></form>"
    );
    // With `no-referrer` the form would not say where it comes from, and be refused.
    page(StatusCode::OK, &format!("Sign in to {server}"), &body, "same-origin")
}

/// Says that the sign-in to `server` is done, for all callers of `gateway`; `home` is its own page.
pub fn done(server: &str, gateway: &str, home: &str) -> Response {
    let (server, gateway, home) = (escaped(server), escaped(gateway), escaped(home));
    let body = format!(
        "<p id=\"done\">The gateway <b>{gateway}</b> is signed in to the server <b>{server}</b>.</p>\
         <p><b>This sign-in serves all callers of the gateway.</b> To end it, withdraw the gateway's access where you \
         have just signed in.</p><p><a id=\"home\" href=\"{home}\">Back to the servers</a></p>"
    );
    page(StatusCode::OK, &format!("Signed in to {server}"), &body, "no-referrer")
}

/// Says why a sign-in came to nothing.
pub fn failed(status: StatusCode, why: &str) -> Response {
    let why = escaped(why);
    let body = format!(
        "<p id=\"failed\">The gateway is not signed in: {why}.</p>\
         <p>Begin again from the gateway's list of servers, in this browser.</p>"
    );
    page(status, "Not signed in", &body, "no-referrer")
}

/// A page; `title` and `body` are markup.
pub fn page(status: StatusCode, title: &str, body: &str, referrer: &'static str) -> Response {
    let html = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <title>{title}</title><style>{STYLE}</style></head><body><main><h1>{title}</h1>{body}</main></body></html>"
    );
    let headers = [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::REFERRER_POLICY, referrer),
        (header::CACHE_CONTROL, "no-store"),
    ];
    (status, headers, Html(html)).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_others_wrote_cannot_become_markup() {
        for response in [
            question("<b>", "https://a.test/\"><script>"),
            done("<script>", "'\"<script>", "\"><script>"),
            failed(StatusCode::BAD_REQUEST, "<script>alert(1)</script>"),
        ] {
            let body = axum::body::to_bytes(response.into_body(), 1 << 16).await.unwrap();
            let html = String::from_utf8(body.to_vec()).unwrap();
            assert!(html.contains("&lt;") && !html.contains("<script") && !html.contains("<b><"), "{html}");
        }
    }
}
