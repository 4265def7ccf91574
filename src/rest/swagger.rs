//! Swagger UI from assets in the binary, under a Content-Security-Policy that lets nothing in from outside.
//!
//! Endpoints, which the router maps to the functions here:
//!
//! - `GET /docs`, `GET /{server}/docs`: [`page`], at exactly this path, because health checks ask for it
//! - `GET /docs/swagger-initializer.js`, `GET /{server}/docs/swagger-initializer.js`: [`initializer`]
//! - `GET /assets/swagger/{file}`: [`asset`]
//! - `GET /docs/`, `/redoc`, `/{server}/docs/`, `/{server}/redoc`: [`redirect`]
//!
//! Every link is relative to the page, so that a path prefix, a root path or a reverse proxy changes nothing.
//! The page holds no data; it shows the documents, which have access rules of their own.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use utoipa_swagger_ui::{Config, Url};

use crate::http::Problem;
use crate::http::page::{HTML, PageFile, SCRIPT, STYLE, escaped};

/// `style-src` needs `unsafe-inline`, because Swagger UI sets style attributes; scripts do not.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
     connect-src 'self'; font-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
);

/// The files that the page asks for, with the type they are served as.
const ASSETS: [(&str, &str); 6] = [
    ("swagger-ui.css", STYLE),
    ("index.css", STYLE),
    ("swagger-ui-bundle.js", SCRIPT),
    ("swagger-ui-standalone-preset.js", SCRIPT),
    ("favicon-32x32.png", "image/png"),
    ("favicon-16x16.png", "image/png"),
];

/// One document that the page can show.
#[derive(Debug, Clone, Copy)]
pub struct DocumentLink<'a> {
    /// The label in the selector.
    pub name: &'a str,
    /// Relative to the page, percent-encoded: `openapi.json`, or `time/openapi.json`.
    pub url: &'a str,
}

static FILES: LazyLock<HashMap<&'static str, PageFile>> = LazyLock::new(|| {
    let files = ASSETS.iter().filter_map(|(name, content_type)| {
        Some((*name, PageFile::new(content_type, embedded(name, Config::default())?)))
    });
    files.collect()
});

/// The page itself. `to_root` leads from the page's folder to where `assets/` is: empty for `/docs`, `../`
/// for `/{server}/docs`. `title` is the gateway's or the server's name.
pub fn page(title: &str, to_root: &str, request: &HeaderMap) -> Response {
    let Some(index) = embedded("index.html", Config::default()) else { return missing("index.html") };
    let assets = format!("{to_root}assets/swagger/");
    let html = String::from_utf8_lossy(&index)
        .replace("<title>Swagger UI</title>", &format!("<title>{}</title>", escaped(title)))
        .replace("\"./swagger-initializer.js\"", "\"docs/swagger-initializer.js\"")
        .replace("\"./", &format!("\"{assets}"))
        .replace("\"index.css\"", &format!("\"{assets}index.css\""));
    PageFile::new(HTML, html).answer(&POLICY, request)
}

/// The script that starts the page of `documents` (at least one). `primary` is the name of the one shown
/// first; the first of the list without it. Nothing is remembered in the browser, keys least of all.
pub fn initializer(documents: &[DocumentLink], primary: Option<&str>, request: &HeaderMap) -> Response {
    let urls = documents
        .iter()
        .map(|document| Url::with_primary(document.name, document.url, primary == Some(document.name)));
    let config = Config::new(urls)
        // The default asks an outside service to validate the document, and so reveals the address to it.
        .validator_url("none")
        .persist_authorization(false)
        .query_config_enabled(false)
        .deep_linking(true)
        .display_request_duration(true)
        .try_it_out_enabled(true);
    match embedded("swagger-initializer.js", config) {
        Some(script) => PageFile::new(SCRIPT, script).answer(&POLICY, request),
        None => missing("swagger-initializer.js"),
    }
}

/// A file of the page; 404 for every other name.
pub fn asset(name: &str, request: &HeaderMap) -> Response {
    match FILES.get(name) {
        Some(asset) => asset.answer(&POLICY, request),
        None => Problem::not_found().into_response(),
    }
}

fn embedded(name: &str, config: Config) -> Option<Bytes> {
    match utoipa_swagger_ui::serve(name, Arc::new(config)) {
        Ok(Some(file)) => Some(Bytes::from(file.bytes.into_owned())),
        Ok(None) => None,
        Err(error) => {
            tracing::error!(name, %error, "a file of Swagger UI could not be made");
            None
        }
    }
}

fn missing(name: &str) -> Response {
    tracing::error!(name, "this build holds no Swagger UI");
    Problem::internal().into_response()
}

#[cfg(test)]
mod tests {
    use http::header;

    use super::*;

    async fn text(response: Response) -> String {
        let bytes = axum::body::to_bytes(response.into_body(), 1 << 24).await.unwrap();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// The targets of `src="..."` and `href="..."`, in order.
    fn links(html: &str) -> Vec<&str> {
        let parts = html.split(['"']).collect::<Vec<_>>();
        let pairs = parts.windows(2).filter(|pair| pair[0].ends_with("src=") || pair[0].ends_with("href="));
        pairs.map(|pair| pair[1]).collect()
    }

    #[tokio::test]
    async fn every_link_of_the_page_is_served() {
        let html = text(page("Tools", "../", &HeaderMap::new())).await;
        let links = links(&html);
        assert_eq!(links.len(), 7, "{html}");
        for link in links {
            if link == "docs/swagger-initializer.js" {
                continue;
            }
            let name = link.strip_prefix("../assets/swagger/").unwrap_or_else(|| panic!("{link}"));
            let response = asset(name, &HeaderMap::new());
            assert_eq!(response.status(), 200, "{link}");
            assert!(!text(response).await.is_empty(), "{link}");
        }
        assert!(!html.contains("http"), "{html}");
    }

    #[tokio::test]
    async fn the_title_is_the_gateways_and_cannot_become_markup() {
        let html = text(page("A </title><script>x & y", "", &HeaderMap::new())).await;
        assert!(html.contains("<title>A &lt;/title&gt;&lt;script&gt;x &amp; y</title>"), "{html}");
        assert!(html.contains("href=\"assets/swagger/swagger-ui.css\""), "{html}");
    }

    #[tokio::test]
    async fn the_initializer_names_the_documents_and_no_validator() {
        let documents = [
            DocumentLink { name: "All", url: "openapi.json" },
            DocumentLink { name: "ti\"me", url: "time/openapi.json" },
        ];
        let script = text(initializer(&documents, Some("ti\"me"), &HeaderMap::new())).await;
        assert!(script.contains(r#""urls.primaryName": "ti\"me""#), "{script}");
        assert!(script.contains(r#""url": "time/openapi.json""#), "{script}");
        assert!(script.contains(r#""validatorUrl": "none""#), "{script}");
        assert!(script.contains(r#""persistAuthorization": false"#), "{script}");
        let one = text(initializer(&documents[..1], None, &HeaderMap::new())).await;
        assert!(one.contains(r#""url": "openapi.json""#) && !one.contains("{{config}}"), "{one}");
    }

    #[test]
    fn everything_is_under_the_policy_and_known_files_are_not_sent_again() {
        let first = asset("swagger-ui.css", &HeaderMap::new());
        assert_eq!(first.headers()[header::CONTENT_SECURITY_POLICY], POLICY);
        let mut again = HeaderMap::new();
        again.insert(header::IF_NONE_MATCH, first.headers()[header::ETAG].clone());
        assert_eq!(asset("swagger-ui.css", &again).status(), 304);
        assert_eq!(asset("index.css", &again).status(), 200);
        assert_eq!(page("x", "", &again).headers()[header::CONTENT_SECURITY_POLICY], POLICY);
    }

    #[test]
    fn other_files_are_not_found() {
        for name in ["index.html", "oauth2-redirect.html", "../Cargo.toml", "", "swagger-ui.js"] {
            assert_eq!(asset(name, &HeaderMap::new()).status(), 404, "{name}");
        }
    }
}
