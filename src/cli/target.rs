//! Where a command looks, from its flags and the environment: at a running gateway, or at servers that it starts
//! itself.

use std::time::Duration;

use secrecy::SecretString;

use super::arguments::{GatewayArguments, TargetArguments};
use super::command_error::CommandError;
use super::usage::{headers, usage, variable};
use crate::config::{Purpose, SecretText, SingleServer, Sources};

/// Where a gateway listens by default.
const DEFAULT_URL: &str = "http://127.0.0.1:8000";
/// Warnings and errors, but not why a server cannot be started, which the command itself writes.
const QUIET_LEVEL: &str = "warn,mcpo::upstream::supervisor=error";

/// Where to look.
#[derive(Debug)]
pub enum QueryTarget {
    Gateway(Address),
    InProcess(InProcess),
}

/// A running gateway.
#[derive(Debug)]
pub struct Address {
    /// Scheme, host and port, without a slash at the end; or `unix:` and the path of its socket.
    pub origin: String,
    /// The path below which the gateway is; empty, or without a slash at its end.
    pub path: String,
    pub key: Option<GatewayKey>,
    pub timeout: Option<Duration>,
}

/// The key to show, with the flag or variable that it came from.
#[derive(Debug)]
pub struct GatewayKey {
    pub source: &'static str,
    pub text: SecretText,
}

/// Servers of this process.
#[derive(Debug)]
pub struct InProcess {
    pub sources: Sources,
    /// A level or filter for the log.
    pub level: String,
    pub quiet: bool,
    pub timeout: Option<Duration>,
}

impl QueryTarget {
    /// Reads where to look; `environment` is the process's.
    pub(super) fn new(
        arguments: TargetArguments,
        environment: Vec<(String, String)>,
    ) -> Result<Self, clap::Error> {
        let TargetArguments { gateway, config, command, transport, header, env, env_path, log_level, quiet } =
            arguments;
        if config.is_empty() && command.is_empty() {
            if !env.is_empty() || env_path.is_some() || log_level.is_some() || quiet {
                return Err(usage(
                    "--env, --env-path, --log-level and --quiet are for servers that this command starts: name them \
                     with --config FILE, or `-- COMMAND`",
                ));
            }
            return Address::new(gateway, &environment).map(Self::Gateway);
        }
        let level = match (log_level, quiet) {
            (Some(level), _) if !crate::telemetry::is_level(&level) => {
                return Err(usage("--log-level takes error, warning, info, debug, trace, or a filter"));
            }
            (Some(level), _) => match level.to_ascii_lowercase().as_str() {
                "warning" => "warn".to_owned(),
                _ => level,
            },
            (None, true) => "error".to_owned(),
            (None, false) => QUIET_LEVEL.to_owned(),
        };
        let headers = header.as_deref().map(headers).transpose()?.unwrap_or_default();
        let given_env = env.iter().map(|text| variable(text)).collect::<Result<_, _>>()?;
        let single = (!command.is_empty()).then_some(SingleServer { command, transport, headers });
        // A key is for callers of a port, and this process opens no port.
        let environment = environment.into_iter().filter(|(name, _)| name != "MCPO_API_KEY").collect();
        let sources = Sources {
            purpose: Purpose::Serve,
            files: config,
            environment,
            single,
            given_env,
            env_path,
            ..Sources::default()
        };
        Ok(Self::InProcess(InProcess { sources, level, quiet, timeout: gateway.timeout }))
    }

    /// Without reading the lock of the configuration.
    pub(super) fn without_lock(mut self) -> Self {
        if let Self::InProcess(in_process) = &mut self {
            in_process.sources.without_lock = true;
        }
        self
    }

    /// Whether there is one server only, without a name to call it by.
    pub fn is_command(&self) -> bool {
        matches!(self, Self::InProcess(in_process) if in_process.sources.single.is_some())
    }
}

impl Address {
    pub(super) fn new(
        arguments: GatewayArguments,
        environment: &[(String, String)],
    ) -> Result<Self, clap::Error> {
        let GatewayArguments { url, api_key, timeout } = arguments;
        // Compose files set variables to nothing where they mean unset.
        let variable = |name| {
            let found = environment.iter().find(|(known, value)| known == name && !value.is_empty());
            found.map(|(_, value)| value.clone())
        };
        let url = url.map(|url| (url, "--url")).or_else(|| Some((variable("MCPO_URL")?, "MCPO_URL")));
        let (url, source) = url.unwrap_or_else(|| (DEFAULT_URL.to_owned(), "the default"));
        let (origin, path) = parts(&url).map_err(|reason| usage(&format!("{source}: {reason}")))?;
        let key = api_key.map(|key| (key, "--api-key"));
        let key = key.or_else(|| Some((variable("MCPO_API_KEY")?, "MCPO_API_KEY")));
        let key = key
            .map(|(text, source)| match SecretText::parse(&text) {
                Ok(text) => Ok(GatewayKey { source, text }),
                Err(error) => Err(usage(&format!("{source}: {error}"))),
            })
            .transpose()?;
        Ok(Self { origin, path, key, timeout })
    }
}

impl GatewayKey {
    /// Reads what the text refers to.
    ///
    /// # Errors
    ///
    /// When a file or variable cannot be read, or holds nothing.
    pub fn read(&self) -> Result<SecretString, CommandError> {
        let key = self
            .text
            .blocking_resolve()
            .map_err(|error| CommandError::Failed(format!("{}: {error}", self.source)))?;
        let key = secrecy::ExposeSecret::expose_secret(&key).trim().to_owned();
        match key.is_empty() {
            true => Err(CommandError::Failed(format!("{}: the key is empty", self.source))),
            false => Ok(SecretString::from(key)),
        }
    }
}

/// Origin and path of a gateway's address. The address itself is not repeated: it may hold a password.
fn parts(text: &str) -> Result<(String, String), String> {
    if let Some(path) = text.strip_prefix("unix:") {
        return match path.starts_with('/') && !path.contains('\0') {
            true => Ok((text.to_owned(), String::new())),
            false => {
                Err("write the socket's path from the root, such as unix:/run/mcpo/mcpo.sock".to_owned())
            }
        };
    }
    let whole = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    let wanted = "write the gateway's address, such as http://127.0.0.1:8000";
    let url = url::Url::parse(&whole).map_err(|error| format!("this is no URL ({error}): {wanted}"))?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(format!("this is no http or https URL: {wanted}"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("a URL must not hold a key: give it with --api-key or MCPO_API_KEY".to_owned());
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(format!("a gateway's address has neither `?` nor `#`: {wanted}"));
    }
    Ok((url.origin().ascii_serialization(), url.path().trim_end_matches('/').to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_taken_apart() {
        for (text, origin, path) in [
            ("http://127.0.0.1:8000", "http://127.0.0.1:8000", ""),
            ("localhost:9000/", "http://localhost:9000", ""),
            ("https://mcp.example.org/tools/", "https://mcp.example.org", "/tools"),
            ("http://[::1]:80", "http://[::1]", ""),
            ("unix:/run/mcpo/mcpo.sock", "unix:/run/mcpo/mcpo.sock", ""),
        ] {
            assert_eq!(parts(text), Ok((origin.to_owned(), path.to_owned())), "{text}");
        }
    }

    #[test]
    fn addresses_that_are_none_are_refused_without_repeating_a_password() {
        for text in [
            "",
            "ftp://h",
            "http://me:hunter2@h",
            "http://h/?key=hunter2",
            "http://",
            "h h",
            "unix:a",
            "unix:",
        ] {
            let reason = parts(text).unwrap_err();
            assert!(!reason.contains("hunter2"), "{text}: {reason}");
        }
    }

    #[test]
    fn flags_win_over_variables_and_empty_variables_are_none() {
        let environment = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        let asked = |url: Option<&str>, key: Option<&str>, variables: &[(&str, &str)]| {
            let arguments = GatewayArguments {
                url: url.map(str::to_owned),
                api_key: key.map(str::to_owned),
                timeout: None,
            };
            let address = Address::new(arguments, &environment(variables)).unwrap();
            (address.origin, address.key.map(|key| (key.source, key.text.as_literal().map(str::to_owned))))
        };
        let both = [("MCPO_URL", "http://variable"), ("MCPO_API_KEY", "v")];
        assert_eq!(asked(None, None, &[]), (DEFAULT_URL.to_owned(), None));
        assert_eq!(asked(None, None, &[("MCPO_URL", ""), ("MCPO_API_KEY", "")]).1, None);
        let key = |source, text: &str| Some((source, Some(text.to_owned())));
        assert_eq!(asked(None, None, &both), ("http://variable".to_owned(), key("MCPO_API_KEY", "v")));
        assert_eq!(
            asked(Some("http://flag"), Some("f"), &both),
            ("http://flag".to_owned(), key("--api-key", "f"))
        );
    }
}
