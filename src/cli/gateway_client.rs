//! The client of a gateway, with two backends: over HTTP to one that runs, or into one inside this process. The answers are
//! the same by construction, since both come from the same edge.

mod remote;

use percent_encoding::percent_decode_str;
use serde_json::Value;

use super::command_error::CommandError;
use super::messages;
use super::request::{GatewayRequest, GatewayResponse};
use super::target::{Address, InProcess};
use crate::app::in_process::InProcessGateway;
use crate::catalog::openapi::path_segment;
use crate::config::Loaded;
use crate::shutdown::Shutdown;
use remote::Remote;

/// A gateway to which requests can be sent.
pub struct GatewayClient {
    backend: Backend,
    /// Where the gateway's own paths start; empty, or without a slash at the end.
    base: String,
    pub root: ToolRoot,
}

/// Where the tools are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToolRoot {
    /// Below this path and the server's name; empty, or without a slash at the end.
    Servers(String),
    /// The one server's, directly below this path.
    Single(String),
}

enum Backend {
    Remote(Box<Remote>),
    InProcess(Box<InProcessGateway>),
}

impl GatewayClient {
    /// The client of a running gateway. Nothing is sent yet.
    ///
    /// # Errors
    ///
    /// When the key cannot be read.
    pub fn remote(address: &Address) -> Result<Self, CommandError> {
        let base = address.path.clone();
        Ok(Self {
            backend: Backend::Remote(Box::new(Remote::new(address)?)),
            root: ToolRoot::Servers(base.clone()),
            base,
        })
    }

    /// A gateway in this process with its servers, or only the one that is `wanted`. It is there once the first try
    /// of each server has ended. It must be closed.
    ///
    /// # Errors
    ///
    /// When the configuration has errors, or no such server; then nothing was started.
    pub async fn in_process(
        in_process: InProcess,
        loaded: Loaded,
        wanted: Option<&str>,
    ) -> Result<Self, CommandError> {
        let Loaded { mut config, .. } = loaded;
        let names: Vec<&str> = config.servers.iter().map(|server| server.name.as_str()).collect();
        if let Some(wanted) = wanted.filter(|wanted| !names.contains(wanted)) {
            return Err(CommandError::Failed(messages::unknown_server(wanted, &names)));
        }
        if let Some(timeout) = in_process.timeout {
            config.limits.call_timeout = timeout;
            config.servers.iter_mut().for_each(|server| server.timeout = Some(timeout));
        }
        let prefix = config.listen.path_prefix.trim_end_matches('/').to_owned();
        let root = if config.single { ToolRoot::Single(String::new()) } else { ToolRoot::Servers(prefix) };
        // Links in the documents are those of a gateway; asking goes past what a proxy would add.
        let local = InProcessGateway::start(config, in_process.sources, wanted)
            .await
            .map_err(|error| CommandError::Configuration(error.to_string()))?;
        Ok(Self { backend: Backend::InProcess(Box::new(local)), base: String::new(), root })
    }

    /// Waits until the servers of this process are up, or are known not to be.
    pub async fn settled(&self) {
        if let Backend::InProcess(local) = &self.backend {
            local.settled().await;
        }
    }

    /// Ends what was started.
    pub async fn close(self, shutdown: &Shutdown) {
        if let Backend::InProcess(local) = self.backend {
            local.end(shutdown).await;
        }
    }

    /// Whether the gateway is another process.
    pub fn is_remote(&self) -> bool {
        matches!(self.backend, Backend::Remote(_))
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
    pub async fn send(&self, request: GatewayRequest) -> Result<GatewayResponse, CommandError> {
        match &self.backend {
            Backend::Remote(remote) => remote.send(request).await,
            Backend::InProcess(local) => {
                let path = request.path.clone();
                let broken = |error: String| CommandError::Failed(format!("the answer broke off: {error}"));
                let request = request.request(&path, None).map_err(|error| broken(error.to_string()))?;
                let answer = local.answer(request).await.map_err(|error| broken(error.to_string()))?;
                let (head, body) = answer.into_parts();
                Ok(GatewayResponse { status: head.status, headers: head.headers, body })
            }
        }
    }

    /// Asks for JSON of the gateway itself.
    ///
    /// # Errors
    ///
    /// When what comes back is not that.
    pub async fn json(&self, name: &str) -> Result<Value, CommandError> {
        let answer = self.send(GatewayRequest::get(self.own_path(name))).await?;
        self.expect_json(&answer)
    }

    /// The JSON of a good answer.
    ///
    /// # Errors
    ///
    /// The meaning of a failed answer, for the operator.
    pub fn expect_json(&self, answer: &GatewayResponse) -> Result<Value, CommandError> {
        if !answer.status.is_success() {
            return Err(self.failure(answer));
        }
        serde_json::from_slice(&answer.body)
            .map_err(|_| CommandError::Failed(messages::no_gateway(&self.name())))
    }

    /// The meaning of a failed answer, for the operator.
    pub fn failure(&self, answer: &GatewayResponse) -> CommandError {
        let key = match &self.backend {
            Backend::Remote(remote) => remote.key_source,
            Backend::InProcess(_) => None,
        };
        CommandError::Failed(messages::failure(answer, &self.name(), key))
    }

    /// Finds out where a running gateway has its tools, from its own document. They are behind a path prefix, or at
    /// the root in single-server mode. Gives whether that is elsewhere than was thought until now.
    ///
    /// # Errors
    ///
    /// When the gateway does not show its document.
    pub async fn locate_tools(&mut self) -> Result<bool, CommandError> {
        if !self.is_remote() {
            return Ok(false);
        }
        let root = root_of(&self.json("openapi.json").await?, &self.base);
        let is_elsewhere = root != self.root;
        self.root = root;
        Ok(is_elsewhere)
    }

    /// The gateway's name in messages.
    pub fn name(&self) -> String {
        match &self.backend {
            Backend::Remote(remote) => format!("{}{}", remote.origin, self.base),
            Backend::InProcess(_) => "this process".to_owned(),
        }
    }
}

impl ToolRoot {
    /// The path of a document or tool `name` of `server`.
    pub fn path(&self, server: Option<&str>, name: &str) -> String {
        let name = path_segment(name);
        match (self, server) {
            (Self::Servers(prefix), Some(server)) => format!("{prefix}/{}/{name}", path_segment(server)),
            (Self::Servers(prefix), None) | (Self::Single(prefix), _) => format!("{prefix}/{name}"),
        }
    }
}

fn root_of(document: &Value, base: &str) -> ToolRoot {
    let url = document["servers"][0]["url"].as_str().map(|url| url.trim_end_matches('/').to_owned());
    match document.get("tags") {
        Some(_) => ToolRoot::Servers(url.unwrap_or_else(|| base.to_owned())),
        None => ToolRoot::Single(base.to_owned()),
    }
}

/// The last segment of a document's path, decoded: the name under which a tool is called.
pub fn tool_name(path: &str) -> String {
    let segment = path.rsplit('/').next().unwrap_or_default();
    percent_decode_str(segment).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_document_tells_where_the_tools_are() {
        let tags = json!([{ "name": "time" }]);
        for (document, base, root) in [
            (json!({ "tags": tags }), "", ToolRoot::Servers(String::new())),
            (json!({ "tags": tags }), "/behind", ToolRoot::Servers("/behind".to_owned())),
            (
                json!({ "tags": tags, "servers": [{ "url": "/root/tools" }] }),
                "",
                ToolRoot::Servers("/root/tools".to_owned()),
            ),
            (json!({}), "/behind", ToolRoot::Single("/behind".to_owned())),
        ] {
            assert_eq!(root_of(&document, base), root, "{document} {base}");
        }
    }

    #[test]
    fn paths_are_encoded_and_tools_found_again_in_them() {
        let servers = ToolRoot::Servers("/p".to_owned());
        assert_eq!(servers.path(Some("a b"), "x/y"), "/p/a%20b/x%2Fy");
        assert_eq!(tool_name("/p/a%20b/x%2Fy"), "x/y");
        assert_eq!(ToolRoot::Single(String::new()).path(Some("time"), "now"), "/now");
    }
}
