//! `signIn`: the issuers whose users may call, and the gateway's own authorization server.

use std::collections::HashSet;
use std::time::Duration;

use url::Url;

use super::auth::{IntrospectionClient, IssuerConfig, KeySignInConfig, OpenWebUiConfig, UserConfig};
use super::defaults;
use super::fields::{Fields, lenient_text, mismatch, secret};
use super::json_tree::{JsonNode, JsonValue};
use super::key;
use super::keys::nested;
use super::layers::Layers;
use super::location::Location;
use super::problem::Problems;
use super::profiles::ConfiguredNames;
use super::rights;

/// Whether users of an issuer may call, as far as the files show.
pub(super) fn is_wanted(documents: &[Fields<'_>]) -> bool {
    documents.iter().any(|document| document.get("signIn").is_some())
}

/// The longest time that an access token may last, in seconds.
pub const LONGEST_TOKEN_LIFETIME: u64 = 86_400;
/// VS Code renews an access token five minutes before its end; with less than this it renews more than once a minute.
const RENEWED_TOO_OFTEN: Duration = Duration::from_secs(360);

/// The ways of users in the last file that names some: issuers, and the gateway's own authorization server.
///
/// `has_keys` says whether there is a key that could be typed in.
pub(super) fn collect(
    documents: &[Fields<'_>],
    layers: &Layers,
    (has_public_url, has_keys): (bool, bool),
    names: &mut ConfiguredNames,
    profiles: &HashSet<&str>,
    problems: &mut Problems,
) -> (Vec<IssuerConfig>, Option<KeySignInConfig>) {
    let found = documents.iter().rev().find_map(|document| document.get("signIn"));
    let Some(fields) = found.and_then(|(node, location)| Fields::new(node, location, problems)) else {
        return (Vec::new(), None);
    };
    fields.report_unknown("`signIn`", &key::names(nested::SIGN_IN), &["description"], problems);
    let mut issuers: Vec<IssuerConfig> = Vec::new();
    for (node, location) in elements(&fields, "issuers", problems) {
        let Some(fields) = Fields::new(node, location, problems) else { continue };
        let Some(issuer) = issuer(&fields, names, profiles, problems) else { continue };
        if issuers.iter().any(|earlier| earlier.issuer == issuer.issuer) {
            let message = format!("the issuer {} is named twice", issuer.issuer);
            problems.error(&fields.location, message, "put the users of both into one entry");
        }
        if issuer.audience.is_empty() && !has_public_url {
            problems.error(
                &fields.location,
                "no token could be told to be for this gateway: neither `audience` nor `publicUrl` is set",
                "set `publicUrl` to the address that users type, or `audience` to what stands in `aud` of the tokens",
            );
        }
        issuers.push(issuer);
    }
    let key_sign_in = key_sign_in(&fields, has_keys, problems);
    if issuers.is_empty() && key_sign_in.is_none() {
        let location = layers.location("signIn");
        problems.warning(
            &location,
            "`signIn` names no issuer, so no user can sign in",
            "add one to `issuers`, or set `apiKeys` to true",
        );
    }
    (issuers, key_sign_in)
}

/// `apiKeys` of `signIn`.
fn key_sign_in(fields: &Fields<'_>, has_keys: bool, problems: &mut Problems) -> Option<KeySignInConfig> {
    let is_on = fields.boolean("apiKeys", problems).unwrap_or(false);
    if is_on && !has_keys {
        problems.error(
            &fields.location,
            "there is no API key that could be typed in",
            "add one to `apiKeys` at the top of the file, or take `apiKeys` out of `signIn`",
        );
    }
    let lifetime = fields.seconds("tokenLifetime", problems).unwrap_or(defaults::TOKEN_LIFETIME);
    if is_on
        && lifetime < RENEWED_TOO_OFTEN
        && let Some((_, location)) = fields.get("tokenLifetime")
    {
        problems.warning(
            &location,
            "VS Code renews a token five minutes before it expires, so it would renew these all the time",
            "set it to 600, or leave it out",
        );
    }
    let lifetime = lifetime.max(Duration::from_secs(1)).min(Duration::from_secs(LONGEST_TOKEN_LIFETIME));
    is_on.then_some(KeySignInConfig { token_lifetime: lifetime })
}

fn issuer(
    fields: &Fields<'_>,
    names: &mut ConfiguredNames,
    profiles: &HashSet<&str>,
    problems: &mut Problems,
) -> Option<IssuerConfig> {
    fields.report_unknown("an issuer", &key::names(nested::ISSUER), &["description"], problems);
    let Some((issuer, location)) = fields.text("issuer", problems) else {
        let fix = "add `\"issuer\": \"https://...\"`, exactly as it stands in `iss` of its tokens";
        problems.error(&fields.location, "`issuer` is missing", fix);
        return None;
    };
    let url =
        Url::parse(issuer).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    match url {
        None => problems.error(
            &location,
            "this is no address of an issuer",
            "write it exactly as it stands in `iss` of its tokens, with https://",
        ),
        Some(url) if url.scheme() == "http" && !is_loopback(&url) => problems.error(
            &location,
            "the keys of this issuer would be read without TLS, so that anyone on the way could sign tokens",
            "name it with https://; http:// is for loopback addresses alone",
        ),
        Some(_) => {}
    }
    let users = users(fields, names, profiles, problems);
    if users.is_empty() {
        problems.warning(
            &fields.location,
            "`users` is empty, so every user of this issuer is refused",
            "add `\"users\": [{ \"claims\": { \"groups\": \"ops\" } }]`, or `[{}]` for every user",
        );
    }
    Some(IssuerConfig {
        issuer: issuer.to_owned(),
        audience: audience(fields, problems),
        client: client(fields, problems),
        users,
    })
}

/// `openWebUi` of an API key.
pub(super) fn open_webui(
    fields: &Fields<'_>,
    names: &mut ConfiguredNames,
    profiles: &HashSet<&str>,
    problems: &mut Problems,
) -> Option<OpenWebUiConfig> {
    fields.report_unknown("`openWebUi`", &key::names(nested::OPEN_WEBUI), &["description"], problems);
    let users = users(fields, names, profiles, problems);
    let Some((text, location)) = fields.text("secret", problems) else {
        let fix = "add `\"secret\"`: the value of FORWARD_USER_INFO_HEADER_JWT_SECRET of the Open WebUI";
        problems.error(&fields.location, "`secret` is missing", fix);
        return None;
    };
    Some(OpenWebUiConfig { secret: secret(text, &location, problems)?, users })
}

/// The list `users`.
fn users(
    fields: &Fields<'_>,
    names: &mut ConfiguredNames,
    profiles: &HashSet<&str>,
    problems: &mut Problems,
) -> Vec<UserConfig> {
    let users = elements(fields, "users", problems).into_iter().filter_map(|(node, location)| {
        let fields = Fields::new(node, location, problems)?;
        fields.report_unknown("a user", &key::names(nested::USER), &["description"], problems);
        let claims = claims(&fields, problems);
        Some(UserConfig { claims, rights: rights::of_entry(&fields, names, profiles, problems) })
    });
    users.collect()
}

/// One audience, or a list.
fn audience(fields: &Fields<'_>, problems: &mut Problems) -> Vec<String> {
    match fields.get("audience").map(|(node, _)| &node.value) {
        Some(JsonValue::Text(text)) => vec![text.clone()],
        _ => fields.texts("audience", problems).into_iter().flatten().map(|(text, _)| text).collect(),
    }
}

fn client(fields: &Fields<'_>, problems: &mut Problems) -> Option<IntrospectionClient> {
    let id = fields.text("clientId", problems).map(|(id, _)| id.to_owned());
    let text = fields.text("clientSecret", problems);
    if id.is_some() != text.is_some() {
        let message = "`clientId` and `clientSecret` stand for one client, and one of them is missing";
        problems.error(&fields.location, message, "set both, or neither where all tokens are JWTs");
    }
    let (text, location) = text?;
    Some(IntrospectionClient { id: id?, secret: secret(text, &location, problems)? })
}

fn claims(fields: &Fields<'_>, problems: &mut Problems) -> Vec<(String, String)> {
    let Some((node, location)) = fields.get("claims") else { return Vec::new() };
    let Some(claims) = Fields::new(node, location, problems) else { return Vec::new() };
    let values = claims.iter().filter_map(|(name, node, location)| {
        Some((name.to_owned(), lenient_text(node, &location, problems)?))
    });
    values.collect()
}

/// The elements of the list `name`.
fn elements<'a>(fields: &Fields<'a>, name: &str, problems: &mut Problems) -> Vec<(&'a JsonNode, Location)> {
    let Some((node, location)) = fields.get(name) else { return Vec::new() };
    let JsonValue::List(elements) = &node.value else {
        return mismatch(&location, "a list of objects", node, problems).unwrap_or_default();
    };
    let places = elements.iter().enumerate();
    places.map(|(index, element)| (element, location.element(index, element.position))).collect()
}

/// Whether a URL names this machine: a loopback address, `localhost`, or a name below it.
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}
