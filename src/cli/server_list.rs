//! The answer of `GET /servers`, as far as commands need it.

use http::StatusCode;
use serde_json::{Map, Value};

use super::command_error::CommandError;
use super::gateway_client::{GatewayClient, ToolRoot};
use super::output::on_one_line;
use super::{exit, messages};

/// The servers in the order of the configuration.
#[derive(Debug)]
pub struct ServerList {
    pub servers: Vec<ServerState>,
}

/// One server's entry, as it came.
#[derive(Debug, Clone)]
pub struct ServerState {
    pub name: String,
    pub entry: Map<String, Value>,
}

impl ServerList {
    /// Asks for them.
    ///
    /// # Errors
    ///
    /// When the gateway does not answer, or does not list its servers.
    pub async fn ask(client: &GatewayClient) -> Result<Self, CommandError> {
        let answer = client.json("servers").await?;
        Self::read(&answer).ok_or_else(|| CommandError::Failed(messages::no_gateway(&client.name())))
    }

    fn read(answer: &Value) -> Option<Self> {
        let server = |entry: &Value| {
            let entry = entry.as_object()?.clone();
            Some(ServerState { name: entry.get("name")?.as_str()?.to_owned(), entry })
        };
        let servers = answer.get("servers")?.as_array()?.iter().map(server).collect::<Option<_>>()?;
        Some(Self { servers })
    }

    pub fn names(&self) -> Vec<&str> {
        self.servers.iter().map(|server| server.name.as_str()).collect()
    }

    /// The server of that name; without a name the first, which is the only one then.
    ///
    /// # Errors
    ///
    /// When no server has this name.
    pub fn server(&self, name: Option<&str>) -> Result<&ServerState, CommandError> {
        let found = self.servers.iter().find(|server| name.is_none_or(|name| name == server.name));
        found.ok_or_else(|| {
            CommandError::Failed(messages::unknown_server(name.unwrap_or_default(), &self.names()))
        })
    }

    /// Writes to the standard error which of the servers shown (`name`, or all) are not ready, and why. Gives the
    /// exit code: a failure when it `is_one` server only that is meant.
    pub fn complain(&self, name: Option<&str>, is_one: bool) -> u8 {
        let shown = self.servers.iter().filter(|server| name.is_none_or(|name| name == server.name));
        let missing: Vec<&ServerState> = shown.filter(|server| !server.is_ready()).collect();
        for server in &missing {
            // Among many, a disabled one is as it was meant to be.
            if is_one || server.state() != "disabled" {
                eprintln!("mcpo: {}", server.sentence());
            }
        }
        if is_one && !missing.is_empty() { exit::FAILURE } else { exit::SUCCESS }
    }
}

impl ServerState {
    pub fn text(&self, key: &str) -> Option<&str> {
        self.entry.get(key)?.as_str()
    }

    pub fn state(&self) -> &str {
        self.text("state").unwrap_or("in an unknown state")
    }

    pub fn is_ready(&self) -> bool {
        self.state() == "ready"
    }

    /// `time is unavailable: its command cannot be started`.
    pub fn sentence(&self) -> String {
        let reason = self.text("reason").map(|reason| format!(": {reason}")).unwrap_or_default();
        on_one_line(&format!("{} is {}{reason}", self.name, self.state()))
    }

    /// The names of its tools.
    pub fn tools(&self) -> Vec<&str> {
        let tools = self.entry.get("tools").and_then(Value::as_array);
        tools.into_iter().flatten().filter_map(Value::as_str).collect()
    }
}

/// Finds out where a running gateway has the tools of `server`. Gives whether that is elsewhere than was thought until
/// now.
///
/// # Errors
///
/// When the gateway does not show it, or has another server only.
pub async fn look_around(client: &mut GatewayClient, server: Option<&str>) -> Result<bool, CommandError> {
    let is_elsewhere = client.locate_tools().await?;
    if client.is_remote() && matches!(client.root, ToolRoot::Single(_)) {
        // The path has no name of a server there: a wrong name would call the tool all the same.
        ServerList::ask(client).await?.server(server)?;
    }
    Ok(is_elsewhere)
}

/// Why nothing is at the path of `tool` at `server`: no such server, or no such tool of it.
pub async fn not_there(client: &GatewayClient, server: Option<&str>, tool: Option<&str>) -> CommandError {
    let servers = match ServerList::ask(client).await {
        Ok(servers) => servers,
        Err(error) => return error,
    };
    let named = server.filter(|name| !servers.names().contains(name));
    match (named, servers.server(None), tool) {
        (None, Ok(only), Some(tool)) => {
            let server = servers.server(server).unwrap_or(only);
            CommandError::Failed(messages::unknown_tool(&server.name, tool, &server.tools()))
        }
        (name, ..) => {
            let name = name.or(server).unwrap_or_default();
            CommandError::Failed(messages::unknown_server(name, &servers.names()))
        }
    }
}

/// The error of a call, with the server's state where that is the cause. The state holds more than callers see.
pub async fn with_reason(
    client: &GatewayClient,
    server: Option<&str>,
    status: StatusCode,
    error: CommandError,
) -> CommandError {
    if !matches!(status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::BAD_GATEWAY) {
        return error;
    }
    let Ok(servers) = ServerList::ask(client).await else { return error };
    match (servers.server(server), status) {
        (Ok(state), _) if state.is_ready() => error,
        (Ok(state), StatusCode::SERVICE_UNAVAILABLE) => CommandError::Failed(state.sentence()),
        (Ok(state), _) => CommandError::Failed(format!("{error}\n{}", state.sentence())),
        (Err(_), _) => error,
    }
}
