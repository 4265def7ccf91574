//! The cookies of sign-ins, which no script sees.

use axum::response::Response;
use http::{HeaderValue, header};
use url::Url;

use crate::upstream::oauth::pending::LIFETIME;
use crate::upstream::oauth::sign_in::AuthorizationRequest;

/// Binds a sign-in to its browser: for the callback alone, and sent along when another site leads back to it.
pub(super) fn callback_cookie(own: &str, callback: &str, begun: &AuthorizationRequest) -> HeaderValue {
    cookie(own, (&begun.cookie, &begun.secret), callback, LIFETIME.as_secs(), "Lax")
}

/// For the paths of the gateway from `path` on, and sent along from no other site.
pub(super) fn strict_cookie(own: &str, pair: (&str, &str), path: &str, seconds: u64) -> HeaderValue {
    cookie(own, pair, path, seconds, "Strict")
}

fn cookie(own: &str, (name, value): (&str, &str), path: &str, seconds: u64, same_site: &str) -> HeaderValue {
    let url = Url::parse(own).ok();
    let root = url.as_ref().map(|url| url.path().trim_end_matches('/')).unwrap_or_default();
    let secure = if url.as_ref().is_some_and(|url| url.scheme() == "https") { "; Secure" } else { "" };
    let text = format!(
        "{name}={value}; Path={root}{path}; Max-Age={seconds}; HttpOnly; SameSite={same_site}{secure}"
    );
    HeaderValue::from_str(&text).expect("a cookie is printable ASCII, as a URL's path is")
}

pub(super) fn set_cookie(response: &mut Response, cookie: HeaderValue) {
    response.headers_mut().insert(header::SET_COOKIE, cookie);
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::oauth::CALLBACK;

    #[test]
    fn the_cookie_is_for_the_callback_alone_and_secure_where_the_gateway_is() {
        let begun = AuthorizationRequest { url: String::new(), cookie: "c".into(), secret: "s".into() };
        let text = |own: &str| callback_cookie(own, CALLBACK, &begun).to_str().unwrap().to_owned();
        let plain = "c=s; Path=/oauth/callback; Max-Age=600; HttpOnly; SameSite=Lax";
        assert_eq!(text("http://a.test:1"), plain);
        let secure = "c=s; Path=/tools/oauth/callback; Max-Age=600; HttpOnly; SameSite=Lax; Secure";
        assert_eq!(text("https://a.test/tools"), secure);
    }
}
