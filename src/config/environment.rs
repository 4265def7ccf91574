//! The process's environment: the variables that other floors ask about, and those that stay with the gateway.

use std::env;
use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;

/// Variables that systemd gives to the gateway alone: its credentials and its sockets.
pub(super) const OWN: &[&str] = &[
    "CREDENTIALS_DIRECTORY",
    "NOTIFY_SOCKET",
    "LISTEN_FDS",
    "LISTEN_PID",
    "LISTEN_FDNAMES",
    "WATCHDOG_PID",
    "WATCHDOG_USEC",
    "JOURNAL_STREAM",
    "INVOCATION_ID",
    "SYSTEMD_EXEC_PID",
    "STATE_DIRECTORY",
];

/// Whether `name` belongs to the gateway itself and never reaches a child through `passEnv` or `--env-path`.
pub(super) fn is_own(name: &str) -> bool {
    OWN.contains(&name) || name.starts_with("MCPO_")
}

/// The whole environment as text; what is not UTF-8 cannot be one of our settings and is left out.
pub fn variables() -> Vec<(String, String)> {
    env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

/// The default directory for tool lists and tokens; `None` without a home. It is `$STATE_DIRECTORY` (the first one, as
/// systemd gives it), `$XDG_STATE_HOME/mcpo`, or `~/.local/state/mcpo`.
pub fn state_directory() -> Option<PathBuf> {
    state_directory_from(&|name| env::var_os(name).filter(|value| !value.is_empty()))
}

/// The proxies that the environment names, as the variables have them; they may hold passwords.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ProxyVariables {
    pub http: String,
    pub https: String,
    /// For both, where the one above says nothing.
    pub all: String,
    /// The hosts that are asked directly.
    pub no: String,
}

impl fmt::Debug for ProxyVariables {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("ProxyVariables").field("no", &self.no).finish_non_exhaustive()
    }
}

/// The values of `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY`. The names in lower case count first, as in
/// curl and Python.
pub fn proxies() -> ProxyVariables {
    proxies_from(&|name| env::var(name).ok())
}

fn proxies_from(variable: &dyn Fn(&str) -> Option<String>) -> ProxyVariables {
    let value = |name: &str| {
        let found = [name.to_ascii_lowercase(), name.to_owned()].iter().find_map(|name| {
            variable(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
        });
        found.unwrap_or_default()
    };
    ProxyVariables {
        http: value("HTTP_PROXY"),
        https: value("HTTPS_PROXY"),
        all: value("ALL_PROXY"),
        no: value("NO_PROXY"),
    }
}

/// The variable by which systemd says that stderr is the journal (`device:inode`), when it is set.
pub fn journal_stream() -> Option<OsString> {
    env::var_os("JOURNAL_STREAM")
}

/// The socket of the service manager for the state of this process (`NOTIFY_SOCKET`), when it has one.
pub fn notify_socket() -> Option<OsString> {
    env::var_os("NOTIFY_SOCKET").filter(|socket| !socket.is_empty())
}

/// Whether documents of clients are read from this machine, too.
///
/// A switch for the tests alone, since any client may name an address.
pub fn reads_client_documents_on_loopback() -> bool {
    env::var_os("TEST_ONLY_MCPO_LOOPBACK_CLIENT_DOCUMENTS").is_some_and(|value| value == "1")
}

pub(super) fn state_directory_from(variable: &dyn Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    if let Some(directories) = variable("STATE_DIRECTORY") {
        return env::split_paths(&directories).next();
    }
    // The base directory specification has relative paths ignored.
    let absolute = |name: &str| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let base = absolute("XDG_STATE_HOME").or_else(|| Some(absolute("HOME")?.join(".local/state")))?;
    Some(base.join("mcpo"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proxies_in_lower_case_count_first() {
        let found = proxies_from(&|name| match name {
            "http_proxy" => Some("lower".to_owned()),
            "HTTP_PROXY" => Some("upper".to_owned()),
            "https_proxy" => Some(" ".to_owned()),
            "HTTPS_PROXY" => Some("secure".to_owned()),
            "NO_PROXY" => Some("inner.test".to_owned()),
            _ => None,
        });
        let ProxyVariables { http, https, all, no } = found;
        assert_eq!([http, https, all, no], ["lower", "secure", "", "inner.test"]);
    }

    #[test]
    fn the_state_directory_follows_systemd_then_the_base_directories() {
        let found = |list: &[(&str, &str)]| {
            let lookup = |name: &str| {
                list.iter().find(|(known, _)| *known == name).map(|(_, value)| OsString::from(value))
            };
            state_directory_from(&lookup)
        };
        let home = ("HOME", "/home/u");
        let state = Some(PathBuf::from("/home/u/.local/state/mcpo"));
        assert_eq!(found(&[("STATE_DIRECTORY", "/var/lib/mcpo:/x"), home]), Some("/var/lib/mcpo".into()));
        assert_eq!(found(&[("XDG_STATE_HOME", "/s"), home]), Some("/s/mcpo".into()));
        assert_eq!(found(&[("XDG_STATE_HOME", "relative"), home]), state);
        assert_eq!(found(&[home]), state);
        assert_eq!(found(&[]), None);
    }
}
