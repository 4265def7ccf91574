//! The document that describes the authorization server (RFC 8414).

use serde_json::{Value, json};

/// The paths of the endpoints below the issuer.
#[derive(Debug)]
pub struct ServerPaths;

impl ServerPaths {
    pub const AUTHORIZE: &str = "/oauth/authorize";
    pub const TOKEN: &str = "/oauth/token";
    pub const REGISTER: &str = "/oauth/register";
    pub const REVOKE: &str = "/oauth/revoke";
    pub const PAGE: &str = "/oauth/page";
    pub const KEYS: &str = "/oauth/keys";
    pub const METADATA: &str = "/.well-known/oauth-authorization-server";
    pub const OPENID: &str = "/.well-known/openid-configuration";
}

/// The metadata of the server at the address `issuer`, which takes clients with `documents` or not.
pub fn server_metadata(issuer: &str, documents: bool) -> Value {
    let at = |path: &str| format!("{issuer}{path}");
    json!({
        "issuer": issuer,
        "authorization_endpoint": at(ServerPaths::AUTHORIZE),
        "token_endpoint": at(ServerPaths::TOKEN),
        "registration_endpoint": at(ServerPaths::REGISTER),
        "revocation_endpoint": at(ServerPaths::REVOKE),
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": ["authorization_code", "refresh_token"],
        "code_challenge_methods_supported": ["S256"],
        "token_endpoint_auth_methods_supported": ["none"],
        "revocation_endpoint_auth_methods_supported": ["none"],
        "authorization_response_iss_parameter_supported": true,
        "client_id_metadata_document_supported": documents,
    })
}

/// The same for clients that look at the path of OpenID, and want what it must have. There are no ID tokens.
pub fn openid_metadata(issuer: &str, documents: bool) -> Value {
    let mut metadata = server_metadata(issuer, documents);
    metadata["jwks_uri"] = json!(format!("{issuer}{}", ServerPaths::KEYS));
    metadata["subject_types_supported"] = json!(["public"]);
    metadata["id_token_signing_alg_values_supported"] = json!(["RS256"]);
    metadata
}
