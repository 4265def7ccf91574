//! What `GET /servers` says, as far as commands want to know it.

use http::StatusCode;
use serde_json::{Map, Value};

use super::door::Door;
use super::output::on_one_line;
use super::trouble::Trouble;
use super::{exit, explain};

/// The servers in the order of the configuration.
#[derive(Debug)]
pub struct States {
    pub servers: Vec<ServerState>,
}

/// One server's entry, as it came.
#[derive(Debug, Clone)]
pub struct ServerState {
    pub name: String,
    pub entry: Map<String, Value>,
}

impl States {
    /// Asks for them.
    ///
    /// # Errors
    ///
    /// When the gateway cannot be asked, or does not tell.
    pub async fn ask(door: &Door) -> Result<Self, Trouble> {
        let answer = door.json("servers").await?;
        Self::read(&answer).ok_or_else(|| Trouble::Failed(explain::no_gateway(&door.name())))
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
    /// When there is none.
    pub fn server(&self, name: Option<&str>) -> Result<&ServerState, Trouble> {
        let found = self.servers.iter().find(|server| name.is_none_or(|name| name == server.name));
        found.ok_or_else(|| Trouble::Failed(explain::unknown_server(name.unwrap_or_default(), &self.names())))
    }

    /// Says on the standard error which of the servers shown (`name`, or all) are not ready, and why. Gives the
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

/// Why nothing is at the path of `tool` at `server`: no such server, or no such tool of it.
pub async fn not_there(door: &Door, server: Option<&str>, tool: Option<&str>) -> Trouble {
    let states = match States::ask(door).await {
        Ok(states) => states,
        Err(trouble) => return trouble,
    };
    let named = server.filter(|name| !states.names().contains(name));
    match (named, states.server(None), tool) {
        (None, Ok(only), Some(tool)) => {
            let server = states.server(server).unwrap_or(only);
            Trouble::Failed(explain::unknown_tool(&server.name, tool, &server.tools()))
        }
        (name, ..) => {
            let name = name.or(server).unwrap_or_default();
            Trouble::Failed(explain::unknown_server(name, &states.names()))
        }
    }
}

/// `trouble` with a call that was answered with `status`, and the server's state where that is the cause: it holds
/// more than callers are told.
pub async fn with_reason(door: &Door, server: Option<&str>, status: StatusCode, trouble: Trouble) -> Trouble {
    if !matches!(status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::BAD_GATEWAY) {
        return trouble;
    }
    let Ok(states) = States::ask(door).await else { return trouble };
    match (states.server(server), status) {
        (Ok(state), _) if state.is_ready() => trouble,
        (Ok(state), StatusCode::SERVICE_UNAVAILABLE) => Trouble::Failed(state.sentence()),
        (Ok(state), _) => Trouble::Failed(format!("{trouble}\n{}", state.sentence())),
        (Err(_), _) => trouble,
    }
}
