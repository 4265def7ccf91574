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

/// Asks whether to sign in to `server`, below whose `address` it begins. `user` is the one whom it is for, in words, and
/// whether that one is signed in; `None` where a sign-in serves all callers.
pub fn question(server: &str, address: &str, user: Option<&(String, bool)>) -> Response {
    let (server, address) = (escaped(server), escaped(address));
    let whose = match user {
        Some((user, _)) => format!(
            "<p><b>Your sign-in will serve {} alone.</b> Go on only if that is you: the tools of this server \
             then act with the rights of the account that you sign in with.</p>",
            escaped(user)
        ),
        None => "<p><b>Your sign-in will serve all callers of the gateway.</b> Every caller of this server's tools \
                 acts with the rights of the account that you sign in with.</p>"
            .to_owned(),
    };
    let sign_out = match user {
        Some((_, true)) => format!(
            "<p id=\"signed-in\">You are signed in to it.</p><form method=\"post\" action=\"{address}/sign-out\">\
             <button id=\"sign-out\">Sign out of {server}</button></form>"
        ),
        Some((_, false)) | None => String::new(),
    };
    let body = format!(
        "<p>The gateway needs a sign-in to the server <b>{server}</b>.</p>{whose}{sign_out}\
         <form method=\"post\" action=\"{address}/start\"><button id=\"sign-in\">Sign in to {server}</button></form>"
    );
    // With `no-referrer` the form would not say where it comes from, and be refused.
    page(StatusCode::OK, &format!("Sign in to {server}"), &body, "same-origin")
}

/// Asks an unknown user of `server`, below `address`, which of the `issuers` knows it.
pub fn strangers(server: &str, address: &str, issuers: &[(usize, &str)]) -> Response {
    let (server, address) = (escaped(server), escaped(address));
    let form = |(place, issuer): &(usize, &str)| {
        let issuer = escaped(issuer);
        format!(
            "<form method=\"post\" action=\"{address}/user?issuer={place}\"><p><button>Sign in as a user of {issuer}</button></p></form>\
             <form method=\"post\" action=\"{address}/user?issuer={place}&amp;sign-out\"><p><button>Sign out of {server}</button></p></form>"
        )
    };
    let forms: String = issuers.iter().map(form).collect();
    let body = format!(
        "<p>Each user of this gateway signs in to the server <b>{server}</b>, and its tools then act with the rights of \
         that account. First sign in to the gateway.</p>{forms}<p><a href=\"{address}/start?key\">I have an API key</a></p>"
    );
    page(StatusCode::OK, &format!("Sign in to {server}"), &body, "same-origin")
}

/// Says that a user has signed out of `server`.
pub fn signed_out(server: &str) -> Response {
    let server = escaped(server);
    page(
        StatusCode::OK,
        "Signed out",
        &format!("<p id=\"done\">You have signed out of <b>{server}</b>.</p>"),
        "no-referrer",
    )
}

/// Says that the sign-in to `server` is done; `home` is the gateway's own page.
///
/// It serves its user alone, or all callers of `gateway`.
pub fn done(server: &str, gateway: &str, home: &str, is_own: bool) -> Response {
    let whom = if is_own { "you alone" } else { "all callers of the gateway" };
    let (server, gateway, home) = (escaped(server), escaped(gateway), escaped(home));
    let body = format!(
        "<p id=\"done\">The gateway <b>{gateway}</b> is signed in to the server <b>{server}</b>.</p>\
         <p><b>This sign-in serves {whom}.</b> To end it, withdraw the gateway's access where you \
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
            question("<b>", "https://a.test/\"><script>", None),
            question("<b>", "https://a.test/\"><script>", Some(&("the user `<script>`".to_owned(), true))),
            done("<script>", "'\"<script>", "\"><script>", true),
            failed(StatusCode::BAD_REQUEST, "<script>alert(1)</script>"),
        ] {
            let body = axum::body::to_bytes(response.into_body(), 1 << 16).await.unwrap();
            let html = String::from_utf8(body.to_vec()).unwrap();
            assert!(html.contains("&lt;") && !html.contains("<script") && !html.contains("<b><"), "{html}");
        }
    }
}
