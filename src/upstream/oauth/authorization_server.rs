//! An authorization server, once it was found.

use std::sync::Arc;

use rmcp::transport::auth::{AuthorizationManager, AuthorizationMetadata};

use crate::upstream::oauth::metadata_client::MetadataClient;

/// An authorization server, with rmcp's machine that speaks to it.
pub struct AuthorizationServer {
    pub manager: AuthorizationManager,
    pub metadata: AuthorizationMetadata,
    pub http: Arc<MetadataClient>,
    /// The resource that tokens are for (RFC 8707).
    pub resource: String,
}

impl AuthorizationServer {
    /// Whether the metadata list `value` under `key`; `None` without such a list.
    pub fn supports(&self, key: &str, value: &str) -> Option<bool> {
        let listed = self.metadata.additional_fields.get(key)?.as_array()?;
        Some(listed.iter().any(|listed| listed.as_str() == Some(value)))
    }

    /// Whether it gives out refresh tokens for the scope `offline_access`.
    pub fn offers_offline_access(&self) -> bool {
        let scopes = self.metadata.scopes_supported.as_deref().unwrap_or_default();
        scopes.iter().any(|scope| scope == "offline_access")
    }
}
