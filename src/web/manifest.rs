//! Plugin manifests for LobeChat: it reads one by its address, follows `openapi` to the document, and makes a
//! function of each operation. It takes `application/json` only, without a charset.
//!
//! The document's address must be a whole one: it begins with `publicUrl` where that is configured, and else with
//! the host that the request was sent to.

use axum::response::Response;
use bytes::Bytes;
use http::request::Parts;
use http::uri::Authority;
use http::{StatusCode, header};
use serde_json::json;

use crate::catalog::CatalogServer;
use crate::catalog::openapi::{mount_path, path_segment};
use crate::config::{Config, ListenConfig};
use crate::http::answer::etag_of;
use crate::http::{Problem, document_answer};
use crate::protocol::media_type::JSON;

/// The manifest of one server, or of all servers together.
pub fn manifest(config: &Config, server: Option<&CatalogServer>, head: &Parts) -> Result<Response, Problem> {
    let base = base(&config.listen, head)?;
    let gateway = config.document.name.as_str();
    let (identifier, title, description, mount) = match server {
        None => {
            let prefix = config.listen.path_prefix.trim_end_matches('/').to_owned();
            ("mcpo".to_owned(), gateway, config.document.description.clone(), prefix)
        }
        Some(CatalogServer { name, .. }) => {
            let mount = match config.single {
                true => String::new(),
                false => mount_path(&config.listen.path_prefix, name),
            };
            let identifier = format!("mcpo-{}", path_segment(name.as_str()));
            (identifier, name.as_str(), format!("The tools of {name}, through {gateway}."), mount)
        }
    };
    let version = server.and_then(|server| Some(server.info.as_ref()?.version.clone()));
    let manifest = json!({
        "identifier": identifier,
        "version": version.filter(|text| !text.is_empty()).unwrap_or_else(|| config.document.version.clone()),
        "type": "default",
        "api": [],
        "meta": { "title": title, "description": description, "avatar": "🧰", "tags": ["mcp"] },
        "openapi": format!("{base}{mount}/openapi.json"),
    });
    let bytes = Bytes::from(manifest.to_string());
    Ok(document_answer(&bytes, &etag_of(&bytes), JSON, &head.headers))
}

/// The gateway's address without a slash at its end.
fn base(listen: &ListenConfig, head: &Parts) -> Result<String, Problem> {
    if let Some(url) = &listen.public_url {
        return Ok(url.trim_end_matches('/').to_owned());
    }
    let stated = head.headers.get(header::HOST).and_then(|host| Authority::try_from(host.as_bytes()).ok());
    let host = stated.filter(|host| !host.as_str().contains('@'));
    let host = host.ok_or_else(|| {
        let sentence = "A manifest holds whole addresses, and this request names no host: set `publicUrl`";
        Problem::new(StatusCode::BAD_REQUEST, "no_host", sentence)
    })?;
    let scheme = if listen.tls.is_some() { "https" } else { "http" };
    Ok(format!("{scheme}://{host}{}", listen.root_path))
}
