//! The process's environment: what a child gets of it, and the few variables that other floors ask about.
//!
//! A child starts from a cleared environment, because the gateway's own holds secrets that are no business
//! of a server. It gets, later wins: a short list of harmless variables, the values of `-e` and
//! `--env-path`, those of its `envFile`, the variables named in its `passEnv`, and its `env` with secrets resolved.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::PathBuf;

use secrecy::ExposeSecret;

use super::{SecretError, StdioConfig, dotenv};
use crate::file;

/// Variables that every child gets: where programs, homes and temporary files are, language and time,
/// the caches of package runners, proxies and certificate authorities.
const ALLOWED: &[&str] = &[
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "LANG",
    "LANGUAGE",
    "LOCALE_ARCHIVE",
    "TZ",
    "TZDIR",
    "TMPDIR",
    "TERM",
    "XDG_CACHE_HOME",
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
    "XDG_STATE_HOME",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "all_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "ALL_PROXY",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "NIX_SSL_CERT_FILE",
    "NODE_EXTRA_CA_CERTS",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
];

/// Variables that systemd gives to the gateway alone: its credentials and its sockets.
const OWN: &[&str] = &[
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

/// Where tool lists and tokens are kept unless the configuration says otherwise: `$STATE_DIRECTORY` (the
/// first one, as systemd gives it), `$XDG_STATE_HOME/mcpo`, `~/.local/state/mcpo`; `None` without a home.
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
    /// What is asked directly.
    pub no: String,
}

impl fmt::Debug for ProxyVariables {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("ProxyVariables").field("no", &self.no).finish_non_exhaustive()
    }
}

/// `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY`; the names in lower case count first, as curl and Python have it.
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

/// Where a service manager wants to be told how this process is (`NOTIFY_SOCKET`), when one does.
pub fn notify_socket() -> Option<OsString> {
    env::var_os("NOTIFY_SOCKET").filter(|socket| !socket.is_empty())
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

impl StdioConfig {
    /// The whole environment of the child, each name once. Secrets are read now, so this can fail.
    pub async fn environment(&self) -> Result<Vec<(OsString, OsString)>, SecretError> {
        if !self.reads_files() {
            return self.environment_from(env::vars_os());
        }
        let config = self.clone();
        file::apart(move || config.environment_from(env::vars_os())).await?
    }

    /// Whether its secrets, or its `envFile`, lie in files.
    pub(super) fn reads_files(&self) -> bool {
        let mut values = self.given_env.iter().chain(&self.env);
        self.env_file.is_some() || values.any(|(_, value)| value.reads_files())
    }

    fn environment_from(
        &self,
        own: impl Iterator<Item = (OsString, OsString)>,
    ) -> Result<Vec<(OsString, OsString)>, SecretError> {
        let own: Vec<(OsString, OsString)> = own.collect();
        let mut child = Vec::new();
        for (name, value) in &own {
            if is_allowed(name) {
                set(&mut child, name.clone(), value.clone());
            }
        }
        for (name, value) in &self.given_env {
            set(&mut child, name.into(), value.blocking_resolve()?.expose_secret().into());
        }
        if let Some(path) = &self.env_file {
            for (name, value) in dotenv::read_at_start(path)? {
                set(&mut child, name.into(), value.into());
            }
        }
        for name in self.pass_env.iter().filter(|name| !is_own(name)) {
            if let Some((_, value)) = own.iter().find(|(known, _)| known == OsStr::new(name)) {
                set(&mut child, name.into(), value.clone());
            }
        }
        for (name, value) in &self.env {
            set(&mut child, name.into(), value.blocking_resolve()?.expose_secret().into());
        }
        Ok(child)
    }
}

fn is_allowed(name: &OsStr) -> bool {
    name.to_str().is_some_and(|name| ALLOWED.contains(&name) || name.starts_with("LC_"))
}

fn set(environment: &mut Vec<(OsString, OsString)>, name: OsString, value: OsString) {
    match environment.iter_mut().find(|(known, _)| *known == name) {
        Some(entry) => entry.1 = value,
        None => environment.push((name, value)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::SecretText;

    fn pairs(list: &[(&str, &str)]) -> Vec<(OsString, OsString)> {
        list.iter().map(|(name, value)| (name.into(), value.into())).collect()
    }

    #[test]
    fn a_child_gets_the_allow_list_and_nothing_else_of_ours() {
        let own = pairs(&[
            ("PATH", "/bin"),
            ("LC_ALL", "C"),
            ("https_proxy", "p"),
            ("MCPO_API_KEY", "secret"),
            ("CREDENTIALS_DIRECTORY", "/run/credentials"),
            ("AWS_SECRET_ACCESS_KEY", "secret"),
            ("LD_PRELOAD", "x.so"),
        ]);
        let child = StdioConfig::default().environment_from(own.into_iter()).unwrap();
        assert_eq!(child, pairs(&[("PATH", "/bin"), ("LC_ALL", "C"), ("https_proxy", "p")]));
    }

    #[test]
    fn the_later_layer_wins_and_our_own_variables_cannot_be_passed_on() {
        let stdio = StdioConfig {
            given_env: vec![
                ("A".to_owned(), SecretText::literal("given")),
                ("B".to_owned(), SecretText::literal("given")),
                ("TZ".to_owned(), SecretText::literal("given")),
            ],
            pass_env: ["B", "C", "ABSENT", "MCPO_API_KEY", "CREDENTIALS_DIRECTORY"]
                .map(str::to_owned)
                .to_vec(),
            env: vec![("C".to_owned(), SecretText::parse("own $${x}").unwrap())],
            ..StdioConfig::default()
        };
        let own = pairs(&[
            ("TZ", "UTC"),
            ("B", "passed"),
            ("C", "passed"),
            ("MCPO_API_KEY", "secret"),
            ("CREDENTIALS_DIRECTORY", "/run/credentials"),
        ]);
        let child = stdio.environment_from(own.into_iter()).unwrap();
        assert_eq!(child, pairs(&[("TZ", "given"), ("A", "given"), ("B", "passed"), ("C", "own ${x}")]));
    }

    #[test]
    fn an_env_file_is_read_at_each_start_between_the_given_variables_and_those_of_the_entry() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("server.env");
        let stdio = StdioConfig {
            given_env: vec![("A".to_owned(), SecretText::literal("given"))],
            env_file: Some(path.clone()),
            pass_env: vec!["B".to_owned()],
            env: vec![("C".to_owned(), SecretText::literal("own"))],
            ..StdioConfig::default()
        };
        let start = || stdio.environment_from(pairs(&[("B", "passed")]).into_iter());
        let missing = start().unwrap_err().to_string();
        assert!(missing.contains("server.env` cannot be read: No such file"), "{missing}");
        std::fs::write(&path, "A=file\nB=file\nC=file\nexport D='${D}'\nMCPO_API_KEY=secret\n").unwrap();
        let expected = pairs(&[("A", "file"), ("B", "passed"), ("C", "own"), ("D", "${D}")]);
        assert_eq!(start().unwrap(), expected);
        std::fs::write(&path, "A=1\nhunter2\n").unwrap();
        let broken = start().unwrap_err().to_string();
        assert!(broken.ends_with("line 2: the line does not set a variable"), "{broken}");
        assert!(!broken.contains("hunter2"), "{broken}");
    }

    #[test]
    fn a_secret_that_is_not_there_is_an_error_that_names_it() {
        let stdio = StdioConfig {
            env: vec![("TOKEN".to_owned(), SecretText::parse("${file:/gone/token}").unwrap())],
            ..StdioConfig::default()
        };
        let error = stdio.environment_from(std::iter::empty()).unwrap_err();
        assert!(error.to_string().contains("/gone/token"), "{error}");
    }

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
