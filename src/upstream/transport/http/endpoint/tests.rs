use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use super::*;
use crate::memory_budget::MemoryBudget;

fn redirect(location: &str) -> Option<String> {
    let response = Response::builder().status(307).header(LOCATION, location).body(()).unwrap();
    same_origin_redirect(&Uri::from_static("http://a.test:81/mcp"), &response).map(|url| url.to_string())
}

/// The paths that two requests to `/mcp` ask for, which is redirected to `/there` with `status`.
async fn asked(status: u16) -> Vec<String> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url: Uri = format!("http://{}/mcp", listener.local_addr().unwrap()).parse().unwrap();
    let (note, mut noted) = mpsc::unbounded_channel();
    let serving = tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                assert!(stream.read_buf(&mut head).await.unwrap() > 0);
            }
            let path = String::from_utf8_lossy(&head).split(' ').nth(1).unwrap().to_owned();
            let status = if path == "/mcp" { status } else { 204 };
            let answer = format!("HTTP/1.1 {status} -\r\nLocation: /there\r\nConnection: close\r\n\r\n");
            note.send(path).unwrap();
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    let clients = Arc::new(HttpClients::default());
    let client = clients.client(&url, IdleTimeout::default()).await.unwrap();
    let endpoint = HttpEndpoint {
        server: ServerName::new("s").unwrap(),
        clients,
        client: ArcSwap::from_pointee((IdleTimeout::default(), client)),
        url: ArcSwap::from_pointee(url),
        headers: HeaderMap::new(),
        cookies: Cookies::default(),
        authorizer: None,
        bounds: MessageBounds { limit: 1 << 10, budget: MemoryBudget::new(1 << 20, 1 << 10) },
    };
    for _ in 0..2 {
        let answer = endpoint.send(Method::GET, &endpoint.url(), &[], Bytes::new()).await.unwrap();
        assert_eq!(
            (answer.status(), answer.extensions().get::<AnsweredUrl>().unwrap().0.path()),
            (StatusCode::NO_CONTENT, "/there")
        );
    }
    serving.abort();
    std::iter::from_fn(|| noted.try_recv().ok()).collect()
}

#[tokio::test]
async fn a_temporary_redirect_is_asked_for_anew_and_a_permanent_one_is_kept() {
    assert_eq!(asked(307).await, ["/mcp", "/there", "/mcp", "/there"]);
    assert_eq!(asked(308).await, ["/mcp", "/there", "/there"]);
}

#[test]
fn redirects_stay_on_their_origin() {
    assert_eq!(redirect("/mcp/").as_deref(), Some("http://a.test:81/mcp/"));
    assert_eq!(redirect("http://a.test:81/x").as_deref(), Some("http://a.test:81/x"));
    for elsewhere in ["http://b.test:81/mcp", "https://a.test:81/mcp", "http://a.test/mcp", "//b.test/"] {
        assert_eq!(redirect(elsewhere), None, "{elsewhere}");
    }
}

#[test]
fn addresses_hold_no_user_path_or_query() {
    let url = Uri::from_static("https://me:pw@a.test:8443/token?key=1");
    assert_eq!(address(&url), "https://a.test:8443");
}

#[test]
fn addresses_must_be_absolute() {
    for bad in ["", "a.test/mcp", "ftp://a.test/", "/mcp", "unix:/x"] {
        assert!(parse_url(bad).is_err(), "{bad}");
    }
    assert!(parse_url("http://127.0.0.1:8000/mcp").is_ok());
}

#[test]
fn user_and_password_of_an_address_are_basic_authorization() {
    for (text, credentials) in [
        ("http://me:p%40ss@a.test/mcp", Some("Basic bWU6cEBzcw==")),
        ("http://me@a.test/mcp", Some("Basic bWU6")),
        ("http://:p@a.test/mcp", Some("Basic OnA=")),
        ("http://a.test/mcp", None),
    ] {
        let (url, found) = parse_url(text).unwrap();
        assert_eq!(url, "http://a.test/mcp");
        assert_eq!(found.as_ref().map(|value| value.to_str().unwrap()), credentials, "{text}");
        assert!(found.is_none_or(|value| value.is_sensitive()));
    }
}
