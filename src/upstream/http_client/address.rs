//! Addresses as they may be logged.

use http::Uri;

/// Scheme, host and port: what may be logged of an address (paths and queries can hold secrets).
pub fn address(url: &Uri) -> String {
    let authority = url.authority().map(|authority| {
        let text = authority.as_str();
        text.rsplit_once('@').map_or(text, |(_user, host)| host)
    });
    format!("{}://{}", url.scheme_str().unwrap_or("http"), authority.unwrap_or(""))
}
