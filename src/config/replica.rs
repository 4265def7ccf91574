//! `replica`: the name of one gateway among its replicas, and where the others reach it.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use url::Url;

use super::key::{self, ValueShape};
use super::reader::SettingReader;

/// One replica, as the others know it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replica {
    pub name: String,
    /// Scheme, host and port; `None` for a replica that listens on no port and names no address.
    pub url: Option<String>,
}

impl Replica {
    /// A replica on the machine `host` that listens at `address`, for what its configuration leaves out.
    pub fn new(
        (name, url): (Option<&str>, Option<&str>),
        host: &str,
        address: Option<SocketAddr>,
        is_tls: bool,
    ) -> Self {
        let at = |port: u16| format!("{host}:{port}");
        let place = address.map(|address| match address.ip().is_unspecified() {
            true => at(address.port()),
            false => address.to_string(),
        });
        let scheme = if is_tls { "https" } else { "http" };
        let own_name = || address.map_or_else(|| host.to_owned(), |address| at(address.port()));
        Self {
            name: name.map_or_else(own_name, str::to_owned),
            url: url.map(str::to_owned).or_else(|| Some(format!("{scheme}://{}", place?))),
        }
    }
}

pub(super) const REPLICA_NAME: SettingReader<Option<String>> = SettingReader {
    shape: ValueShape::Text(&[r"^[A-Za-z0-9._:-]{1,100}$"]),
    read: |layers, key, problems| {
        let name: String = layers.get(key, "a string", problems)?;
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._:-".contains(&byte);
        if name.is_empty() || name.len() > 100 || !name.bytes().all(is_plain) {
            let fix = "write up to 100 letters, digits and any of `._:-`, such as gateway-1";
            problems.error(&layers.location(key), "this is no name of a replica", fix);
        }
        Some(Some(name))
    },
    write: |_| Value::Null,
};

pub(super) const REPLICA_URL: SettingReader<Option<String>> = SettingReader {
    shape: ValueShape::Text(&[key::HTTP]),
    read: |layers, key, problems| {
        let written: String = layers.get(key, "a string", problems)?;
        let url = Url::parse(&written).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
        let Some(url) = url.filter(Url::has_host) else {
            let fix = "write the address of this replica itself, such as http://gateway-1:8000";
            problems.error(&layers.location(key), "this is no http or https URL", fix);
            return None;
        };
        let origin = url.origin().ascii_serialization();
        if url.as_str().trim_end_matches('/') != origin {
            let fix = format!("write {origin}: the others ask for the path that their client asks for");
            problems.slip(&layers.location(key), "only scheme, host and port of this count", fix);
        }
        Some(Some(origin))
    },
    write: |_| Value::Null,
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_comes_from_the_machine_and_the_port() {
        let of = |given, address: &str, is_tls| {
            let Replica { name, url } = Replica::new(given, "box", address.parse().ok(), is_tls);
            (name, url.unwrap_or_default())
        };
        for (address, is_tls, url) in [
            ("127.0.0.1:8000", false, "http://127.0.0.1:8000"),
            ("0.0.0.0:8000", false, "http://box:8000"),
            ("[::]:8000", true, "https://box:8000"),
            ("[::1]:8000", false, "http://[::1]:8000"),
        ] {
            assert_eq!(of((None, None), address, is_tls), ("box:8000".to_owned(), url.to_owned()));
        }
        assert_eq!(of((None, None), "", false), ("box".to_owned(), String::new()));
        let given = (Some("one"), Some("http://one.test:1"));
        assert_eq!(of(given, "0.0.0.0:8000", true), ("one".to_owned(), "http://one.test:1".to_owned()));
    }
}
