//! stub
use axum::response::Response;
use http::HeaderMap;
pub fn page(_title: &str, _documents: &[(String, String)], _headers: &HeaderMap) -> Response {
    Response::new("docs".into())
}
pub fn asset(_file: &str, _headers: &HeaderMap) -> Response {
    Response::new("docs".into())
}
