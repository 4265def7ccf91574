//! Where the store is.

use std::fmt;

use redis::{ConnectionInfo, IntoConnectionInfo as _, ProtocolVersion};
use url::Url;

/// The address of the store, with its user and password. `Debug` and `Display` show neither.
#[derive(Clone)]
pub struct StoreAddress {
    pub(super) info: ConnectionInfo,
    shown: String,
}

impl StoreAddress {
    /// Reads an address.
    ///
    /// It is `redis://[user[:password]@]host[:port][/database]`, or `rediss://` for TLS; user and password are
    /// percent-encoded.
    ///
    /// # Errors
    ///
    /// Why it is no such address. The text itself, which may hold a password, is not quoted.
    pub fn parse(text: &str) -> Result<Self, String> {
        let url = Url::parse(text.trim()).map_err(|error| format!("it is no URL: {error}"))?;
        if !matches!(url.scheme(), "redis" | "rediss") {
            return Err("its scheme is neither `redis` nor `rediss`".to_owned());
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err("it has a query or a fragment, which have no meaning here".to_owned());
        }
        let shown = format!(
            "{}://{}{}",
            url.scheme(),
            &url[url::Position::BeforeHost..url::Position::AfterPort],
            url.path()
        );
        let info = url.into_connection_info().map_err(|error| error.to_string())?;
        // Messages of a subscription come over the same connection in the newer protocol alone.
        let settings = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
        Ok(Self { info: info.set_redis_settings(settings), shown })
    }
}

impl fmt::Display for StoreAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.shown)
    }
}

impl fmt::Debug for StoreAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.shown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_shown_without_its_secrets_and_a_wrong_one_says_why() {
        let address = StoreAddress::parse("rediss://user:pa%2Fss@store.test:6380/2").unwrap();
        assert_eq!(address.to_string(), "rediss://store.test:6380/2");
        assert_eq!(format!("{address:?}"), "rediss://store.test:6380/2");
        assert_eq!(address.info.redis_settings().password(), Some("pa/ss"));
        for (wrong, why) in [
            ("http://store.test", "scheme"),
            ("redis://store.test?protocol=resp2", "query"),
            ("rediss://store.test#insecure", "fragment"),
            ("redis://", "ost"),
            ("redis://store.test/first", "database"),
        ] {
            let said = StoreAddress::parse(wrong).unwrap_err();
            assert!(said.contains(why), "{wrong}: {said}");
        }
    }
}
