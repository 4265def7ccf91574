//! The middleware between the table of routes and its handlers: API keys, and the metrics of the port.

use std::sync::Arc;

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use http::{HeaderValue, header};

use super::auth::{Access, Keys};
use super::layers::under_key;
use crate::metrics::HttpMetrics;

/// Refuses a request without the key that `access` asks for, before its body is read.
///
/// It is for what people read: the cookie of a page counts here.
/// The handler finds the [`Caller`](crate::catalog::Caller) as an extension.
pub async fn admit(
    State((keys, access)): State<(Arc<Keys>, Access)>,
    mut request: Request,
    next: Next,
) -> Response {
    match keys.admit_reader(request.headers(), access).await {
        Ok((caller, by_cookie)) => {
            request.extensions_mut().insert(caller);
            let mut answer = next.run(request).await;
            if by_cookie {
                answer.headers_mut().append(header::VARY, HeaderValue::from_static("Cookie"));
            }
            answer
        }
        Err(refusal) => refusal.into_response(),
    }
}

/// Puts the name of the caller's key on the answer, for the log line of a refusal.
pub async fn name_key(State(keys): State<Arc<Keys>>, request: Request, next: Next) -> Response {
    let caller = keys.admit(request.headers(), Access::Open).await.ok();
    under_key(&caller.map(|caller| caller.principal).unwrap_or_default(), next.run(request).await)
}

/// Measures a request under the template of its route.
pub async fn measure(
    State(metrics): State<Arc<HttpMetrics>>,
    route: MatchedPath,
    request: Request,
    next: Next,
) -> Response {
    let method = request.method().clone();
    let timer = metrics.request(method.as_str(), template(route.as_str()));
    let answer = next.run(request).await;
    timer.answered(answer.status().as_u16());
    answer
}

/// One template for a path with and without a slash at its end, and one for all redirects to the docs.
fn template(route: &str) -> &str {
    match route {
        "/" => "/",
        _ if route.contains("redoc") || route.ends_with("/docs/") => "/redoc",
        _ => route.trim_end_matches('/'),
    }
}
