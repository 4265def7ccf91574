//! The environment of a child process.
//!
//! A child starts from a cleared environment, because the gateway's own holds secrets that are no business
//! of a server. It gets, later wins: a short list of harmless variables, the values of `-e` and
//! `--env-path`, those of its `envFile`, the variables named in its `passEnv`, and its `env` with secrets resolved.

use std::env;
use std::ffi::{OsStr, OsString};

use secrecy::ExposeSecret;

use super::dotenv;
use super::environment::is_own;
use super::secret::SecretError;
use super::transport::StdioConfig;
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
}
