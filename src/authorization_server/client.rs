//! Clients: what they register of themselves (RFC 7591), and where the browser may lead back to.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use url::{Host, Url};

use super::error::GrantError;
use crate::config::is_loopback;
use crate::json::clip;
use crate::seal::Sealer;
use crate::telemetry::text::is_unseen;
use crate::unix_time::now;

const PREFIX: &str = "mcpo_client_";
/// How long a registration is good for new sign-ins, in seconds.
const REGISTERED_FOR: u64 = 365 * 86_400;
/// Addresses to lead back to, of one client.
const REDIRECT_URIS: usize = 10;
/// The longest of them, and all together, in bytes: they stand in the client's id.
const REDIRECT_URI_LENGTH: usize = 512;
const REDIRECT_URIS_LENGTH: usize = 2048;
/// The longest name that is shown, in bytes.
const NAME_LENGTH: usize = 64;
/// Schemes of addresses that a browser itself does something with.
const BROWSER_SCHEMES: [&str; 16] = [
    "about",
    "blob",
    "chrome",
    "data",
    "file",
    "filesystem",
    "ftp",
    "intent",
    "javascript",
    "mailto",
    "sms",
    "tel",
    "vbscript",
    "view-source",
    "ws",
    "wss",
];

/// A client as it describes itself. Nothing of it is proven.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OAuthClient {
    pub name: String,
    pub redirect_uris: Vec<String>,
}

/// What a client asks to be registered with. Other members mean nothing here.
#[derive(Debug, Deserialize)]
pub struct RegistrationRequest {
    #[serde(default)]
    redirect_uris: Vec<String>,
    client_name: Option<String>,
    grant_types: Option<Vec<String>>,
    response_types: Option<Vec<String>>,
}

/// The content of a client's id.
#[derive(Serialize, Deserialize)]
struct Registration {
    client: OAuthClient,
    since: u64,
}

impl OAuthClient {
    /// A client with these properties, if all are fit.
    pub fn new(name: Option<&str>, redirect_uris: Vec<String>) -> Result<Self, GrantError> {
        if redirect_uris.is_empty() {
            return Err(GrantError::InvalidRedirectUri("`redirect_uris` must name at least one address"));
        }
        let length: usize = redirect_uris.iter().map(String::len).sum();
        if redirect_uris.len() > REDIRECT_URIS || length > REDIRECT_URIS_LENGTH {
            return Err(GrantError::InvalidRedirectUri(
                "`redirect_uris` has more than 10 addresses, or 2048 bytes",
            ));
        }
        if !redirect_uris.iter().all(|uri| is_redirect_uri(uri)) {
            return Err(GrantError::InvalidRedirectUri(
                "each of `redirect_uris` must be https, http to a loopback address, or a scheme of the client's own; \
                 without a fragment, a user or a blank, and of at most 512 bytes",
            ));
        }
        // A mark of direction would turn the host that stands behind the name on the page.
        let name: String = name.unwrap_or_default().chars().filter(|c| !is_unseen(*c)).collect();
        let name = clip(name.trim(), NAME_LENGTH);
        let name = if name.is_empty() { "A client without a name" } else { name };
        Ok(Self { name: name.to_owned(), redirect_uris })
    }

    /// Whether the browser may be led to `uri`.
    ///
    /// It must be one of the addresses to the letter, but for the port of a loopback address, which a client takes as it
    /// gets it (RFC 8252 section 7.3).
    pub fn may_return_to(&self, uri: &str) -> bool {
        self.redirect_uris.iter().any(|own| {
            own == uri
                || loopback_without_port(own).is_some_and(|own| loopback_without_port(uri) == Some(own))
        })
    }
}

/// Where `uri` leads, for people: its host, or its scheme where the host means nothing.
pub fn host_of(uri: &str) -> String {
    let Ok(url) = Url::parse(uri) else { return String::new() };
    match url.scheme() {
        "http" | "https" => match (url.host_str(), url.port()) {
            (Some(host), Some(port)) => format!("{host}:{port}"),
            (host, _) => host.unwrap_or_default().to_owned(),
        },
        scheme => format!("{scheme}:"),
    }
}

fn is_redirect_uri(uri: &str) -> bool {
    let is_plain = uri.len() <= REDIRECT_URI_LENGTH && uri.bytes().all(|byte| byte.is_ascii_graphic());
    let Some(url) = Url::parse(uri).ok().filter(|_| is_plain) else { return false };
    if url.fragment().is_some() || !url.username().is_empty() || url.password().is_some() {
        return false;
    }
    match url.scheme() {
        "https" => url.has_host(),
        "http" => is_loopback(&url),
        scheme => scheme.len() > 2 && !BROWSER_SCHEMES.contains(&scheme),
    }
}

/// The parts of a loopback address but for its port.
fn loopback_without_port(uri: &str) -> Option<(Host<String>, String)> {
    let url = Url::parse(uri).ok().filter(|url| url.scheme() == "http" && is_loopback(url))?;
    // What is written in another way is another address: readers of addresses differ.
    let written = uri.strip_prefix("http://")?;
    let (authority, rest) = written.split_once('/').unwrap_or((written, ""));
    let is_plain =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b':' | b'[' | b']' | b'-');
    let host = url.host().filter(|_| authority.bytes().all(is_plain))?.to_owned();
    Some((host, rest.to_owned()))
}

/// Registers a client; the answer is that of RFC 7591 section 3.2.1.
///
/// # Errors
///
/// What of it is not fit.
pub fn register(sealer: &Sealer, request: RegistrationRequest) -> Result<Value, GrantError> {
    let lacks = |list: &Option<Vec<String>>, wanted: &str| {
        list.as_ref().is_some_and(|list| !list.iter().any(|one| one == wanted))
    };
    if lacks(&request.grant_types, "authorization_code") || lacks(&request.response_types, "code") {
        return Err(GrantError::InvalidClientMetadata("only the authorization code grant is there"));
    }
    let client = OAuthClient::new(request.client_name.as_deref(), request.redirect_uris)?;
    let since = now();
    let registration = Registration { client, since };
    Ok(json!({
        "client_id": sealer.seal_json(PREFIX, &registration)?,
        "client_id_issued_at": since,
        "client_name": registration.client.name,
        "redirect_uris": registration.client.redirect_uris,
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "token_endpoint_auth_method": "none",
    }))
}

/// The client with this id.
pub fn registered(sealer: &Sealer, id: &str) -> Option<OAuthClient> {
    let found: Registration = sealer.open_json(PREFIX, id)?;
    (now() < found.since.saturating_add(REGISTERED_FOR)).then_some(found.client)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_browser_is_led_to_a_registered_address_alone() {
        let uris = ["https://a.test/cb", "http://127.0.0.1:1/cb?x=1", "http://localhost/cb", "cursor://b/cb"];
        let client = OAuthClient::new(None, uris.map(str::to_owned).to_vec()).unwrap();
        for uri in uris.iter().copied().chain(["http://127.0.0.1:65535/cb?x=1", "http://localhost:3/cb"]) {
            assert!(client.may_return_to(uri), "{uri}");
        }
        for uri in [
            "https://a.test/cb/",
            "https://a.test/cb?x",
            "https://a.test:444/cb",
            "http://a.test/cb",
            "https://a.test.evil.test/cb",
            "https://a.test@evil.test/cb",
            "http://127.0.0.1:1/cb",
            "http://localhost:1/cb/..",
            "http://localhost.evil.test/cb",
            "http://[::1]:1/cb?x=1",
            "http://localhost@evil.test/cb",
            "http://127.0.0.2/cb?x=1",
            "http://localhost:1/../cb",
            "http:localhost/cb",
            "http://localhost:1\\@evil.test/cb",
            "cursor://b/cb/x",
            "",
            "/cb",
        ] {
            assert!(!client.may_return_to(uri), "{uri}");
        }
    }

    #[test]
    fn a_name_hides_nothing_and_turns_nothing_around() {
        let name = Some("\u{202e}Editor\n\u{200b} \u{2067}2");
        let client = OAuthClient::new(name, vec!["https://a.test/cb".to_owned()]).unwrap();
        assert_eq!(client.name, "Editor 2");
    }

    #[test]
    fn no_address_is_registered_that_a_browser_would_run_or_that_leaks_the_code() {
        let new = |uri: &str| OAuthClient::new(Some("x"), vec![uri.to_owned()]);
        for uri in ["https://a.test/cb", "http://localhost:1", "http://[::1]/", "com.a.b:/cb", "vscode://x/y"]
        {
            assert!(new(uri).is_ok(), "{uri}");
        }
        for uri in [
            "http://a.test/cb",
            "javascript:alert(1)",
            "JavaScript://a",
            "data:text/html,x",
            "file:///etc",
            "https://a.test/#f",
            "https://u@a.test/",
            "https://",
            "x",
            "",
            "https://a.test/\n",
            "https://a.test/ b",
        ] {
            assert!(new(uri).is_err(), "{uri}");
        }
        let long = format!("https://a.test/{}", "x".repeat(REDIRECT_URI_LENGTH));
        assert!(new(&long).is_err() && OAuthClient::new(None, Vec::new()).is_err());
        let many = vec!["https://a.test/".to_owned(); REDIRECT_URIS + 1];
        assert!(OAuthClient::new(None, many).is_err());
    }
}
