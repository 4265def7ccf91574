//! `shared`: the store that the replicas of a gateway share.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use secrecy::SecretString;
use url::Url;

use super::secret::{SecretError, SecretText};

/// What stands for a secret while the address is checked.
const PLACEHOLDER: &str = "1";

/// The store that was asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct SharedConfig {
    pub address: SecretText,
    /// The beginning of each of its keys.
    pub prefix: String,
}

impl SharedConfig {
    /// Reads the secrets of the address, each time anew. They stand in it percent-encoded, unless the whole address is one.
    pub fn reader(
        &self,
    ) -> impl Fn() -> BoxFuture<'static, Result<SecretString, SecretError>> + Send + Sync + use<> {
        let address = Arc::new(self.address.clone());
        move || {
            let address = address.clone();
            Box::pin(async move { address.resolve_in_url().await })
        }
    }
}

/// The flaw of `address` as the address of a store, and its fix. Its secrets are not looked at.
pub(super) fn flaw(address: &SecretText) -> Option<(&'static str, &'static str)> {
    const FIX: &str =
        "write redis://host:6379, or rediss://user:${file:/path}@host:6379/0 with TLS and a password";
    let text = address.with_placeholders(PLACEHOLDER);
    if text == PLACEHOLDER {
        return None;
    }
    let Ok(url) = Url::parse(text.trim()) else { return Some(("this is no address of a store", FIX)) };
    if !matches!(url.scheme(), "redis" | "rediss") || !url.has_host() {
        return Some(("this is no address that begins with redis:// or rediss://", FIX));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Some(("the address has a query or a fragment, which have no meaning here", FIX));
    }
    let database = url.path().trim_matches('/');
    if !database.is_empty() && database.parse::<u16>().is_err() {
        return Some(("what follows the host is the number of a database", FIX));
    }
    None
}

/// Whether keys may begin with `prefix`: no pattern of Redis, nothing to quote.
pub(super) fn is_prefix(prefix: &str) -> bool {
    prefix.bytes().all(|byte| byte.is_ascii_alphanumeric() || b":._-{}/".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_checked_without_its_secrets() {
        for good in [
            "redis://localhost",
            "rediss://user:${file:/run/secrets/x}@store.test:6380/2",
            "redis://:${env:PASSWORD}@[::1]:6379/0",
            "${credential:store}",
        ] {
            assert_eq!(flaw(&SecretText::parse(good).unwrap()), None, "{good}");
        }
        for (bad, why) in [
            ("localhost:6379", "redis://"),
            ("http://localhost", "redis://"),
            ("redis://", "redis://"),
            ("redis://localhost/first", "database"),
            ("redis://localhost?x=1", "query"),
        ] {
            let (said, _) = flaw(&SecretText::parse(bad).unwrap()).unwrap();
            assert!(said.contains(why), "{bad}: {said}");
        }
        assert!(is_prefix("{mcpo}:home/") && !is_prefix("mcpo*") && !is_prefix("mcpo "));
    }
}
