//! `oauth` of an entry: `true`, or an object that says how the gateway signs in to the server.

use url::Url;

use super::super::fields::{Fields, mismatch, secret};
use super::super::json_tree::JsonValue;
use super::super::key;
use super::super::keys::nested;
use super::super::nearest::nearest;
use super::super::problem::Problems;
use super::super::secret::SecretText;
use super::super::transport::{GRANTS, IdentityProviderConfig, OAuthConfig, OAuthGrant, TransportConfig};

/// The short names of types of tokens (RFC 8693, section 3).
const SUBJECT_TYPES: [&str; 4] = ["access_token", "id_token", "refresh_token", "jwt"];

/// Keys of mcpo that a gateway does not need.
const FOREIGN: &[&str] = &["server_url", "storage_type", "callback_port", "use_loopback", "client_metadata"];

/// Puts the `oauth` of the entry into its transport.
pub(super) fn of_entry(
    fields: &Fields<'_>,
    transport: Option<&mut TransportConfig>,
    problems: &mut Problems,
) {
    let Some((node, location)) = fields.get("oauth") else { return };
    let config = match &node.value {
        JsonValue::Boolean(false) => return,
        JsonValue::Boolean(true) => Some(OAuthConfig::default()),
        JsonValue::Object(_) => {
            let Some(members) = Fields::new(node, location.clone(), problems) else { return };
            // Other clients write an empty object for "nothing special".
            if members.iter().next().is_none() {
                return;
            }
            members.report_unknown("`oauth`", &key::names(nested::OAUTH), FOREIGN, problems);
            settings(&members, problems)
        }
        _ => return mismatch(&location, "true, false or an object", node, problems).unwrap_or_default(),
    };
    match transport {
        None => {}
        Some(
            TransportConfig::StreamableHttp(http) | TransportConfig::Sse(http) | TransportConfig::Http(http),
        ) => {
            if http.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("authorization")) {
                problems.error(
                    &location,
                    "`headers` has a fixed `Authorization` beside `oauth`; only one can be sent",
                    "remove one of the two",
                );
            }
            http.oauth = config;
        }
        Some(_) => {
            problems.slip(
                &location,
                "OAuth is for servers reached over HTTP and is ignored here",
                "remove it",
            );
        }
    }
}

fn settings(members: &Fields<'_>, problems: &mut Problems) -> Option<OAuthConfig> {
    let config = OAuthConfig {
        grant: grant(members, problems)?,
        client_id: members.text("clientId", problems).map(|(text, _)| text.to_owned()),
        client_secret: hidden(members, "clientSecret", problems),
        private_key: hidden(members, "privateKey", problems),
        assertion: hidden(members, "assertion", problems),
        subject_type: subject_type(members, problems),
        audience: members.text("audience", problems).map(|(text, _)| text.to_owned()),
        identity_provider: identity_provider(members, problems),
        per_user: is_per_user(members, problems),
        scopes: scopes(members, problems),
        client_metadata_url: address(members, "clientMetadataUrl", problems),
        issuer: address(members, "issuer", problems),
        assume_pkce: assumes_pkce(members, problems),
        dpop: members.boolean("dpop", problems),
    };
    let has = |key: &str| members.get(key).is_some();
    let proofs = usize::from(has("clientSecret")) + usize::from(has("privateKey"));
    if proofs == 2 {
        let message = "`clientSecret` and `privateKey` both stand here; a client proves itself in one way";
        problems.error(&members.location, message, "keep the one that the authorization server knows");
    }
    let exchanges = matches!(config.grant, OAuthGrant::TokenExchange | OAuthGrant::IdJag);
    if config.grant != OAuthGrant::JwtBearer && !exchanges && has("assertion") {
        let message = "`assertion` is for the grants `jwt_bearer`, `token_exchange` and `id_jag`";
        problems.error(&members.location, message, "add \"grant\": \"jwt_bearer\", or remove it");
    }
    for key in ["audience", "subjectType"] {
        if has(key) && config.grant != OAuthGrant::TokenExchange {
            let message = format!("`{key}` is for the grant `token_exchange` alone");
            problems.error(&members.location, message, "add \"grant\": \"token_exchange\", or remove it");
        }
    }
    if config.per_user && !matches!(config.grant, OAuthGrant::AuthorizationCode | OAuthGrant::TokenExchange) {
        let message = "with this grant the gateway is the same to the server for all users";
        let fix = "remove \"per\", or use the grant `authorization_code` or `token_exchange`";
        problems.error(&members.location, message, fix);
    }
    if (config.grant == OAuthGrant::IdJag) != has("identityProvider") {
        problems.error(
            &members.location,
            "the grant `id_jag` and an `identityProvider` belong together",
            "add the one that is missing: the identity provider is where the `assertion` is exchanged",
        );
    }
    match config.grant {
        OAuthGrant::IdJag if !has("assertion") => problems.error(
            &members.location,
            "the grant `id_jag` needs an `assertion`: the ID token of the user that the gateway stands for",
            "add where it is kept up to date, such as \"assertion\": \"${file:/run/secrets/NAME}\"",
        ),
        OAuthGrant::TokenExchange if has("assertion") == config.per_user => problems.error(
            &members.location,
            "the grant `token_exchange` exchanges either the token of each caller or one `assertion`",
            "add \"per\": \"user\" for the first, or an `assertion` for the second",
        ),
        OAuthGrant::TokenExchange | OAuthGrant::IdJag if !has("clientId") => problems.error(
            &members.location,
            "this grant needs a `clientId`: the authorization server exchanges tokens for clients that it knows",
            "add what the authorization server gave out, and its `clientSecret` or `privateKey`",
        ),
        OAuthGrant::JwtBearer if !has("assertion") => problems.error(
            &members.location,
            "the grant `jwt_bearer` needs an `assertion`: the token that vouches for this workload",
            "add where it is kept up to date, such as \"assertion\": \"${file:/run/secrets/NAME}\"",
        ),
        OAuthGrant::ClientCredentials if !has("clientId") || proofs == 0 => problems.error(
            &members.location,
            "the grant `client_credentials` needs a `clientId`, and a `clientSecret` or a `privateKey`",
            "add what the authorization server gave out, such as \"clientSecret\": \"${file:/run/secrets/NAME}\"",
        ),
        OAuthGrant::AuthorizationCode if has("privateKey") => problems.error(
            &members.location,
            "`privateKey` is for the grant `client_credentials` alone",
            "add \"grant\": \"client_credentials\", or give a `clientSecret`",
        ),
        OAuthGrant::AuthorizationCode | OAuthGrant::JwtBearer if proofs == 1 && !has("clientId") => problems
            .error(
                &members.location,
                "a `clientSecret` or a `privateKey` says nothing without its `clientId`",
                "add the `clientId`, or remove both to have the gateway do without",
            ),
        OAuthGrant::ClientCredentials
        | OAuthGrant::AuthorizationCode
        | OAuthGrant::JwtBearer
        | OAuthGrant::TokenExchange
        | OAuthGrant::IdJag => {}
    }
    Some(config)
}

fn grant(members: &Fields<'_>, problems: &mut Problems) -> Option<OAuthGrant> {
    if members.get("grant").is_none() {
        return Some(OAuthGrant::AuthorizationCode);
    }
    let (written, location) = members.text("grant", problems)?;
    let known = GRANTS.iter().find(|(name, _)| *name == written);
    if known.is_none() {
        let candidate = nearest(written, GRANTS.map(|(name, _)| name));
        let fix = candidate.map_or(
            "write `authorization_code`, `client_credentials`, `jwt_bearer`, `token_exchange` or `id_jag`"
                .to_owned(),
            |name| format!("write `{name}`"),
        );
        problems.error(&location, format!("`{written}` is no grant that a gateway can use"), fix);
    }
    known.map(|(_, grant)| *grant)
}

/// The URN of the type of the token that is exchanged.
fn subject_type(members: &Fields<'_>, problems: &mut Problems) -> Option<String> {
    let (written, location) = members.text("subjectType", problems)?;
    if SUBJECT_TYPES.contains(&written) {
        return Some(format!("urn:ietf:params:oauth:token-type:{written}"));
    }
    let is_urn = written
        .strip_prefix("urn:")
        .is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_graphic()));
    if !is_urn {
        let message = format!("`{written}` is no type of a token");
        problems.error(
            &location,
            message,
            "write `access_token`, `id_token`, `refresh_token`, `jwt` or its URN",
        );
    }
    Some(written.to_owned())
}

fn is_per_user(members: &Fields<'_>, problems: &mut Problems) -> bool {
    let Some((written, location)) = members.text("per", problems) else { return false };
    if !matches!(written, "gateway" | "user") {
        let message = format!("`{written}` does not say whose tokens these are");
        problems.error(&location, message, "write `user` for tokens of each user, else `gateway` or nothing");
    }
    written == "user"
}

fn identity_provider(members: &Fields<'_>, problems: &mut Problems) -> Option<IdentityProviderConfig> {
    let (node, location) = members.get("identityProvider")?;
    let provider = Fields::new(node, location, problems)?;
    provider.report_unknown("`identityProvider`", &key::names(nested::IDENTITY_PROVIDER), &[], problems);
    let issuer = address(&provider, "issuer", problems);
    let client_id = provider.text("clientId", problems).map(|(text, _)| text.to_owned());
    let client_secret = hidden(&provider, "clientSecret", problems);
    let private_key = hidden(&provider, "privateKey", problems);
    let (Some(issuer), Some(client_id)) = (issuer, client_id) else {
        let message =
            "an `identityProvider` needs its `issuer`, and the `clientId` that the gateway has there";
        problems.error(&provider.location, message, "add both");
        return None;
    };
    Some(IdentityProviderConfig { issuer, client_id, client_secret, private_key })
}

fn assumes_pkce(members: &Fields<'_>, problems: &mut Problems) -> bool {
    let Some((written, location)) = members.text("pkce", problems) else { return false };
    if !matches!(written, "announced" | "assume") {
        let message = format!("`{written}` says nothing about PKCE");
        let fix =
            "write `assume` for an authorization server that has it and does not announce it, else remove it";
        problems.error(&location, message, fix);
    }
    written == "assume"
}

fn hidden(members: &Fields<'_>, name: &str, problems: &mut Problems) -> Option<SecretText> {
    let (text, location) = members.text(name, problems)?;
    secret(text, &location, problems)
}

fn scopes(members: &Fields<'_>, problems: &mut Problems) -> Vec<String> {
    let scopes = members.texts("scopes", problems).unwrap_or_default();
    let good = scopes.into_iter().filter(|(scope, location)| {
        let good = is_scope(scope);
        if !good {
            let message = "a scope has no spaces, quotes or backslashes, and is not empty";
            problems.error(location, message, "write each scope as a string of its own");
        }
        good
    });
    good.map(|(scope, _)| scope).collect()
}

/// RFC 6749, section 3.3.
fn is_scope(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\')
}

fn address(members: &Fields<'_>, name: &str, problems: &mut Problems) -> Option<String> {
    let (written, location) = members.text(name, problems)?;
    let url = Url::parse(written).ok().filter(|url| url.has_host());
    // The document's address is the client's name, and RFC 7591bis lets it be https with a path only.
    let (is_good, fix) = match name {
        "clientMetadataUrl" => (
            url.is_some_and(|url| url.scheme() == "https" && url.path() != "/"),
            "write the https address of the document, such as https://mcp.example.org/oauth/client-metadata.json",
        ),
        _ => (
            url.is_some_and(|url| matches!(url.scheme(), "http" | "https")),
            "write the issuer as the authorization server names itself, such as https://login.example.org",
        ),
    };
    if !is_good {
        problems.error(&location, format!("this cannot be the `{name}`"), fix);
    }
    is_good.then(|| written.to_owned())
}
