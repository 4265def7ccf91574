//! The two doors to a gateway: over HTTP to one that runs, or into one inside this process. What comes back is
//! the same by construction, since both are answered by the same edge.

mod remote;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, header};
use http_body_util::Full;
use percent_encoding::percent_decode_str;
use serde_json::Value;

use super::explain;
use super::reach::{Address, Here};
use super::states::States;
use super::trouble::Trouble;
use crate::app::local::Local;
use crate::catalog::openapi::path_segment;
use crate::config::{self, Loaded};
use crate::http::answer::ERROR_CODE;
use crate::protocol::media_type::JSON;
use crate::shutdown::Shutdown;
use remote::Remote;

/// One request.
#[derive(Debug, Clone)]
pub struct Ask {
    pub method: Method,
    /// From the root of the origin, percent-encoded.
    pub path: String,
    pub accept: &'static str,
    pub body: Bytes,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// A gateway that can be asked.
pub struct Door {
    way: Way,
    /// Where the gateway's own paths start; empty, or without a slash at the end.
    base: String,
    mount: Mount,
}

/// Where the tools are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mount {
    /// Below this path and the server's name; empty, or without a slash at the end.
    Servers(String),
    /// The one server's, directly below this path.
    Single(String),
}

enum Way {
    Remote(Box<Remote>),
    Here(Box<Local>),
}

impl Ask {
    pub fn get(path: String) -> Self {
        Self { method: Method::GET, path, accept: JSON, body: Bytes::new() }
    }

    pub fn call(path: String, accept: &'static str, body: Bytes) -> Self {
        Self { method: Method::POST, path, accept, body }
    }

    fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, HeaderValue::from_static(self.accept));
        headers.insert(
            header::USER_AGENT,
            HeaderValue::from_static(concat!("mcpo/", env!("CARGO_PKG_VERSION"))),
        );
        if self.method == Method::POST {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(JSON));
        }
        headers
    }

    fn request(
        self,
        uri: &str,
        more: Option<(HeaderName, HeaderValue)>,
    ) -> Result<Request<Full<Bytes>>, http::Error> {
        let mut headers = self.headers();
        headers.extend(more.map(|(name, value)| (Some(name), value)));
        let mut request = Request::builder().method(self.method).uri(uri).body(Full::new(self.body))?;
        *request.headers_mut() = headers;
        Ok(request)
    }
}

impl Answer {
    /// The gateway's stable code of a fault of its own.
    pub fn code(&self) -> Option<&str> {
        self.headers.get(ERROR_CODE)?.to_str().ok()
    }

    /// Whether there is nothing at the path, as the gateway says it; a server's own 404 is another matter.
    pub fn is_nothing_there(&self) -> bool {
        self.status == StatusCode::NOT_FOUND && self.code() == Some("not_found")
    }
}

impl Door {
    /// The door to a running gateway. Nothing is sent yet.
    ///
    /// # Errors
    ///
    /// When the key cannot be read.
    pub fn remote(address: &Address) -> Result<Self, Trouble> {
        let base = address.path.clone();
        Ok(Self {
            way: Way::Remote(Box::new(Remote::new(address)?)),
            mount: Mount::Servers(base.clone()),
            base,
        })
    }

    /// A gateway in this process with the servers of `here`, or only the one that is `wanted`, once the first
    /// try of each has ended. It must be closed.
    ///
    /// # Errors
    ///
    /// When the configuration has errors, or no such server; then nothing was started.
    pub async fn here(here: Here, loaded: Loaded, wanted: Option<&str>) -> Result<Self, Trouble> {
        let Loaded { mut config, .. } = loaded;
        let names: Vec<&str> = config.servers.iter().map(|server| server.name.as_str()).collect();
        if let Some(wanted) = wanted.filter(|wanted| !names.contains(wanted)) {
            return Err(Trouble::Failed(explain::unknown_server(wanted, &names)));
        }
        if let Some(timeout) = here.timeout {
            config.limits.call_timeout = timeout;
            config.servers.iter_mut().for_each(|server| server.timeout = Some(timeout));
        }
        let prefix = config.listen.path_prefix.trim_end_matches('/').to_owned();
        let mount = if config.single { Mount::Single(String::new()) } else { Mount::Servers(prefix) };
        // Links in the documents are those of a gateway; asking goes past what a proxy would add.
        let local = Local::start(config, here.sources, wanted)
            .await
            .map_err(|error| Trouble::Configuration(error.to_string()))?;
        Ok(Self { way: Way::Here(Box::new(local)), base: String::new(), mount })
    }

    /// Waits until the servers of this process are up, or are known not to be.
    pub async fn settled(&self) {
        if let Way::Here(local) = &self.way {
            local.settled().await;
        }
    }

    /// Ends what was started.
    pub async fn close(self, shutdown: &Shutdown) {
        if let Way::Here(local) = self.way {
            local.end(shutdown).await;
        }
    }

    pub fn mount(&self) -> &Mount {
        &self.mount
    }

    /// A path of the gateway itself, such as `servers`.
    pub fn own_path(&self, name: &str) -> String {
        format!("{}/{name}", self.base)
    }

    /// Sends one request.
    ///
    /// # Errors
    ///
    /// When no answer comes; every status is an answer.
    pub async fn ask(&self, ask: Ask) -> Result<Answer, Trouble> {
        match &self.way {
            Way::Remote(remote) => remote.ask(ask).await,
            Way::Here(local) => {
                let path = ask.path.clone();
                let broken = |error: String| Trouble::Failed(format!("the answer broke off: {error}"));
                let request = ask.request(&path, None).map_err(|error| broken(error.to_string()))?;
                let answer = local.answer(request).await.map_err(|error| broken(error.to_string()))?;
                let (head, body) = answer.into_parts();
                Ok(Answer { status: head.status, headers: head.headers, body })
            }
        }
    }

    /// Asks for JSON of the gateway itself.
    ///
    /// # Errors
    ///
    /// When what comes back is not that.
    pub async fn json(&self, name: &str) -> Result<Value, Trouble> {
        let answer = self.ask(Ask::get(self.own_path(name))).await?;
        self.expect_json(&answer)
    }

    /// The JSON of a good answer.
    ///
    /// # Errors
    ///
    /// What a failed answer means, for the operator.
    pub fn expect_json(&self, answer: &Answer) -> Result<Value, Trouble> {
        if !answer.status.is_success() {
            return Err(self.failure(answer));
        }
        serde_json::from_slice(&answer.body).map_err(|_| Trouble::Failed(explain::no_gateway(&self.name())))
    }

    /// What a failed answer means, for the operator.
    pub fn failure(&self, answer: &Answer) -> Trouble {
        let key = match &self.way {
            Way::Remote(remote) => remote.key_source(),
            Way::Here(_) => None,
        };
        Trouble::Failed(explain::failure(answer, &self.name(), key))
    }

    /// Finds out where a running gateway has the tools of `server`, from its own document: behind a path prefix,
    /// or at the root in single-server mode. Gives whether that is elsewhere than was thought until now.
    ///
    /// # Errors
    ///
    /// When the gateway does not tell, or has another server only.
    pub async fn look_around(&mut self, server: Option<&str>) -> Result<bool, Trouble> {
        if matches!(self.way, Way::Here(_)) {
            return Ok(false);
        }
        let document = self.json("openapi.json").await?;
        let mount = mount_of(&document, &self.base);
        if matches!(mount, Mount::Single(_)) {
            // No name is asked for there: the tool would be called whatever the server's is.
            States::ask(self).await?.server(server)?;
        }
        let is_elsewhere = mount != self.mount;
        self.mount = mount;
        Ok(is_elsewhere)
    }

    /// What the gateway is called in messages.
    pub fn name(&self) -> String {
        match &self.way {
            Way::Remote(remote) => format!("{}{}", remote.origin(), self.base),
            Way::Here(_) => "this process".to_owned(),
        }
    }
}

impl Mount {
    /// The path of a document or tool `name` of `server`.
    pub fn path(&self, server: Option<&str>, name: &str) -> String {
        let name = path_segment(name);
        match (self, server) {
            (Self::Servers(prefix), Some(server)) => format!("{prefix}/{}/{name}", path_segment(server)),
            (Self::Servers(prefix), None) | (Self::Single(prefix), _) => format!("{prefix}/{name}"),
        }
    }
}

fn mount_of(document: &Value, base: &str) -> Mount {
    let url = document["servers"][0]["url"].as_str().map(|url| url.trim_end_matches('/').to_owned());
    match document.get("tags") {
        Some(_) => Mount::Servers(url.unwrap_or_else(|| base.to_owned())),
        None => Mount::Single(base.to_owned()),
    }
}

/// The last segment of a document's path, decoded: the name under which a tool is called.
pub fn tool_name(path: &str) -> String {
    let segment = path.rsplit('/').next().unwrap_or_default();
    percent_decode_str(segment).decode_utf8_lossy().into_owned()
}

/// Reads the configuration of `here`.
///
/// # Errors
///
/// Every problem, as one text.
pub fn load(here: &Here) -> Result<Loaded, Trouble> {
    config::load(&here.sources).map_err(|problems| {
        let blocks: Vec<String> = problems.iter().map(ToString::to_string).collect();
        Trouble::Configuration(blocks.join("\n"))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_document_tells_where_the_tools_are() {
        let tags = json!([{ "name": "time" }]);
        for (document, base, mount) in [
            (json!({ "tags": tags }), "", Mount::Servers(String::new())),
            (json!({ "tags": tags }), "/behind", Mount::Servers("/behind".to_owned())),
            (
                json!({ "tags": tags, "servers": [{ "url": "/root/tools" }] }),
                "",
                Mount::Servers("/root/tools".to_owned()),
            ),
            (json!({}), "/behind", Mount::Single("/behind".to_owned())),
        ] {
            assert_eq!(mount_of(&document, base), mount, "{document} {base}");
        }
    }

    #[test]
    fn paths_are_encoded_and_tools_found_again_in_them() {
        let servers = Mount::Servers("/p".to_owned());
        assert_eq!(servers.path(Some("a b"), "x/y"), "/p/a%20b/x%2Fy");
        assert_eq!(tool_name("/p/a%20b/x%2Fy"), "x/y");
        assert_eq!(Mount::Single(String::new()).path(Some("time"), "now"), "/now");
    }
}
