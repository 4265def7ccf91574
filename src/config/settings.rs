//! The gateway's own settings, taken out of the layers and checked.

use std::path::{Path, PathBuf};
use std::time::Duration;

use globset::{GlobBuilder, GlobSet};
use tracing_subscriber::filter::Targets;
use url::Url;

use super::fields;
use super::layers::Layers;
use super::lock::{self, LockSettings};
use super::problem::{Place, Problems, nearest};
use super::{
    AuditConfig, DocumentConfig, LimitsConfig, ListenConfig, LogConfig, LogFormat, PerKeyConfig, SecretText,
    TlsConfig, audit, defaults,
};

/// What the layers say, apart from servers and named keys.
#[derive(Debug)]
pub(super) struct Settings {
    pub listen: ListenConfig,
    pub strict_auth: bool,
    /// The one key of `--api-key`, with its place.
    pub api_key: Option<(SecretText, Place)>,
    pub limits: LimitsConfig,
    /// Calls in flight of a server that does not say otherwise.
    pub concurrency: usize,
    /// Callers with forwarded headers that have a connection to one server at one time.
    pub identities: usize,
    /// How long such a connection is kept without a call.
    pub identity_idle: Duration,
    pub document: DocumentConfig,
    pub log: LogConfig,
    pub lock: LockSettings,
    pub audit: Option<AuditConfig>,
    /// As it was set; empty to have none.
    pub state_dir: Option<PathBuf>,
    /// In bytes, of tools and prompts among those of all servers.
    pub exposed_name_length: usize,
}

/// Takes all settings out of `layers`. Where one is wrong its default stands in, and the problem is noted.
pub(super) fn collect(layers: &Layers, problems: &mut Problems) -> Settings {
    Settings {
        listen: listen(layers, problems),
        strict_auth: layers.get("strictAuth", "true or false", problems).unwrap_or(false),
        api_key: text(layers, "apiKey", problems).and_then(|key| {
            let place = layers.place("apiKey");
            Some((secret(&key, &place, problems)?, place))
        }),
        limits: limits(layers, problems),
        concurrency: count(layers, "limits.concurrency", problems).unwrap_or(defaults::CONCURRENCY),
        identities: count(layers, "limits.identities", problems).unwrap_or(defaults::IDENTITIES),
        identity_idle: seconds(layers, "limits.identityIdle", problems).unwrap_or(defaults::IDENTITY_IDLE),
        document: document(layers, problems),
        log: log(layers, problems),
        lock: lock::settings(layers, problems),
        audit: audit::of(layers, problems),
        state_dir: text(layers, "stateDir", problems).map(PathBuf::from),
        exposed_name_length: exposed_name_length(layers, problems),
    }
}

/// Reads the references in `text`; relative files are relative to the file of `place`.
pub(super) fn secret(text: &str, place: &Place, problems: &mut Problems) -> Option<SecretText> {
    let directory = place.file.as_deref().and_then(Path::parent).unwrap_or(Path::new(""));
    match SecretText::parse_in(text, directory) {
        Ok(secret) => Some(secret),
        Err(error) => {
            problems.error(place, error.to_string(), error.fix());
            None
        }
    }
}

fn listen(layers: &Layers, problems: &mut Problems) -> ListenConfig {
    let default = ListenConfig::default();
    let mut host = text(layers, "host", problems).unwrap_or(default.host);
    if host.trim().is_empty() {
        problems.error(
            &layers.place("host"),
            "the address is empty",
            "write 127.0.0.1, or 0.0.0.0 for every address",
        );
    }
    let tls = tls(layers, problems);
    if let Some(path) = host.strip_prefix("unix:") {
        unix_socket(Path::new(path), tls.is_some(), layers, problems);
    }
    // Users copy addresses out of URLs.
    if let Some(inner) = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        host = inner.to_owned();
    }
    ListenConfig {
        host,
        port: layers.get("port", "a port number from 0 to 65535", problems).unwrap_or(default.port),
        tls,
        path_prefix: path(layers, "pathPrefix", problems)
            .map_or(default.path_prefix, |path| format!("{path}/")),
        root_path: path(layers, "rootPath", problems).unwrap_or_default(),
        cors_allow_origins: origins(layers, problems).unwrap_or(default.cors_allow_origins),
        allowed_hosts: allowed_hosts(layers, problems),
        public_url: public_url(layers, problems),
    }
}

/// A path is taken from the root: where a service's working directory is, nobody remembers.
fn unix_socket(path: &Path, with_tls: bool, layers: &Layers, problems: &mut Problems) {
    if !path.is_absolute() {
        problems.error(
            &layers.place("host"),
            "the path of the Unix socket is not absolute",
            "write it from the root, such as unix:/run/mcpo/mcpo.sock",
        );
    }
    if with_tls {
        problems.slip(
            &layers.place("tls.certificate"),
            "TLS is not spoken on a Unix socket; this has no effect",
            "leave `tls` out, or listen on an address",
        );
    }
}

fn tls(layers: &Layers, problems: &mut Problems) -> Option<TlsConfig> {
    let certificate: Option<String> = text(layers, "tls.certificate", problems);
    let key: Option<String> = text(layers, "tls.key", problems);
    match (certificate, key) {
        (Some(certificate), Some(key)) => {
            Some(TlsConfig { certificate: certificate.into(), key: key.into() })
        }
        (None, None) => None,
        (given, _) => {
            let (there, missing) =
                if given.is_some() { ("tls.certificate", "tls.key") } else { ("tls.key", "tls.certificate") };
            problems.error(
                &layers.place(there),
                format!("`{missing}` is missing beside this; TLS needs a certificate and its key"),
                "give both --ssl-certfile and --ssl-keyfile, or `tls.certificate` and `tls.key`, as PEM files",
            );
            None
        }
    }
}

/// A path that begins with `/` and does not end with one; empty for none.
fn path(layers: &Layers, key: &str, problems: &mut Problems) -> Option<String> {
    let path: String = text(layers, key, problems)?;
    let inner = path.trim_matches('/');
    if inner.contains(|character: char| character.is_whitespace() || "?#\\".contains(character)) {
        problems.error(
            &layers.place(key),
            "a path cannot hold white space, `?`, `#` or `\\`",
            "write a path such as /tools",
        );
        return None;
    }
    Some(if inner.is_empty() { String::new() } else { format!("/{inner}") })
}

fn origins(layers: &Layers, problems: &mut Problems) -> Option<Vec<String>> {
    let origins: Vec<String> = layers.get("corsAllowOrigins", "a list of origins", problems)?;
    for origin in origins.iter().filter(|origin| *origin != "*" && *origin != "null") {
        let exact = Url::parse(origin).is_ok_and(|url| url.origin().ascii_serialization() == *origin);
        if !exact {
            problems.slip(
                &layers.place("corsAllowOrigins"),
                format!("`{origin}` is no origin, so no browser will ever match it"),
                "write scheme, host and port as browsers send them, such as https://chat.example.org, or `*`",
            );
        }
    }
    Some(origins)
}

fn allowed_hosts(layers: &Layers, problems: &mut Problems) -> Vec<String> {
    let hosts: Vec<String> = layers.get("allowedHosts", "a list of host names", problems).unwrap_or_default();
    let mut globs = GlobSet::builder();
    for host in &hosts {
        if host.is_empty() || host.contains('/') {
            problems.error(
                &layers.place("allowedHosts"),
                format!("`{host}` is no host name"),
                "write the name alone, such as mcp.example.org, without scheme and path",
            );
            continue;
        }
        match GlobBuilder::new(host).case_insensitive(true).build() {
            Ok(glob) => {
                globs.add(glob);
            }
            Err(error) => problems.error(
                &layers.place("allowedHosts"),
                format!("`{host}` is no pattern over host names: {}", error.kind()),
                "write a host's name, with `*` and `?` as wildcards, such as *.example.org",
            ),
        }
    }
    // Each may be good and all together still be more than one matcher can hold.
    if let Err(error) = globs.build() {
        problems.error(
            &layers.place("allowedHosts"),
            format!("these patterns cannot be used together: {}", error.kind()),
            "list fewer or shorter patterns",
        );
    }
    hosts
}

fn public_url(layers: &Layers, problems: &mut Problems) -> Option<String> {
    let url: String = text(layers, "publicUrl", problems)?;
    let good = Url::parse(&url).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    if !good {
        problems.error(
            &layers.place("publicUrl"),
            "this is no http or https URL",
            "write the address that users type, such as https://mcp.example.org",
        );
    }
    Some(url)
}

fn limits(layers: &Layers, problems: &mut Problems) -> LimitsConfig {
    let default = LimitsConfig::default();
    LimitsConfig {
        body_bytes: count(layers, "limits.bodyBytes", problems).unwrap_or(default.body_bytes),
        result_bytes: count(layers, "limits.resultBytes", problems).unwrap_or(default.result_bytes),
        results_bytes: count(layers, "limits.resultsBytes", problems).unwrap_or(default.results_bytes),
        call_timeout: seconds(layers, "timeout", problems).unwrap_or(default.call_timeout),
        start_timeout: seconds(layers, "limits.startTimeout", problems).unwrap_or(default.start_timeout),
        connections: count(layers, "limits.connections", problems).unwrap_or(default.connections),
        header_timeout: seconds(layers, "limits.headerTimeout", problems).unwrap_or(default.header_timeout),
        bodies_bytes: count(layers, "limits.bodiesBytes", problems).unwrap_or(default.bodies_bytes),
        body_timeout: seconds(layers, "limits.bodyTimeout", problems).unwrap_or(default.body_timeout),
        idle_timeout: seconds(layers, "limits.idleTimeout", problems).unwrap_or(default.idle_timeout),
        drain: seconds(layers, "limits.drain", problems).unwrap_or(default.drain),
        sessions: count(layers, "limits.sessions", problems).unwrap_or(default.sessions),
        session_idle: seconds(layers, "limits.sessionIdle", problems).unwrap_or(default.session_idle),
        processes: count(layers, "limits.processes", problems).unwrap_or(default.processes),
        calls: count(layers, "limits.calls", problems).unwrap_or(default.calls),
        listeners: count(layers, "limits.listeners", problems).unwrap_or(default.listeners),
        followed: count(layers, "limits.followed", problems).unwrap_or(default.followed),
        per_key: PerKeyConfig {
            sessions: count(layers, "limits.sessionsPerKey", problems),
            identities: count(layers, "limits.identitiesPerKey", problems),
            processes: count(layers, "limits.processesPerKey", problems),
            concurrency: count(layers, "limits.concurrencyPerKey", problems),
            calls: count(layers, "limits.callsPerKey", problems),
            listeners: count(layers, "limits.listenersPerKey", problems),
            followed: count(layers, "limits.followedPerKey", problems),
        },
        stderr_lines: count(layers, "limits.stderrLines", problems).unwrap_or(default.stderr_lines),
    }
}

fn exposed_name_length(layers: &Layers, problems: &mut Problems) -> usize {
    const KEY: &str = "exposedNameLength";
    let length = layers.get(KEY, "a whole number from 32 to 64", problems);
    let length = length.unwrap_or(defaults::EXPOSED_NAME_LENGTH);
    // Below, a hash leaves no room for a word of the name; above, models' interfaces refuse the tool.
    if !(32..=64).contains(&length) {
        problems.error(
            &layers.place(KEY),
            format!("{length} characters are no length for names of tools"),
            "write a whole number from 32 to 64, or leave it out for 50",
        );
        return defaults::EXPOSED_NAME_LENGTH;
    }
    length
}

fn document(layers: &Layers, problems: &mut Problems) -> DocumentConfig {
    let default = DocumentConfig::default();
    DocumentConfig {
        name: text(layers, "name", problems).unwrap_or(default.name),
        description: text(layers, "description", problems).unwrap_or(default.description),
        version: text(layers, "version", problems).unwrap_or(default.version),
    }
}

fn log(layers: &Layers, problems: &mut Problems) -> LogConfig {
    const FORMATS: [(&str, LogFormat); 4] = [
        ("auto", LogFormat::Auto),
        ("text", LogFormat::Text),
        ("json", LogFormat::Json),
        ("journald", LogFormat::Journald),
    ];
    let level = match text(layers, "log.level", problems) {
        None => defaults::LOG_LEVEL.to_owned(),
        Some(written) => log_level(&written).unwrap_or_else(|| {
            // A gateway that is silent about its trouble for a typing error in the level would be worse.
            problems.warning(
                &layers.place("log.level"),
                format!("`{written}` is not a log level, defaulting to INFO"),
                "write error, warning, info, debug or trace, or a filter such as info,mcpo=debug",
            );
            defaults::LOG_LEVEL.to_owned()
        }),
    };
    let mut format = LogFormat::Auto;
    if let Some(written) = text(layers, "log.format", problems) {
        match FORMATS.iter().find(|(name, _)| *name == written) {
            Some((_, known)) => format = *known,
            None => {
                let candidate = nearest(&written, FORMATS.map(|(name, _)| name)).unwrap_or("auto");
                problems.error(
                    &layers.place("log.format"),
                    format!("`{written}` is not a form of the log"),
                    format!("write `{candidate}`; the forms are auto, text, json and journald"),
                );
            }
        }
    }
    LogConfig { level, format }
}

/// The filter directive for a level as Python or Rust name it, or for a whole filter.
fn log_level(written: &str) -> Option<String> {
    let level = match written.trim().to_lowercase().as_str() {
        "critical" | "fatal" | "error" => "error",
        "warning" | "warn" => "warn",
        "info" => "info",
        "debug" => "debug",
        "trace" | "notset" => "trace",
        "off" => "off",
        // A bare word would be taken for the name of a module, so only what sets a level is a filter.
        filter if filter.contains('=') => {
            return filter.parse::<Targets>().is_ok().then(|| written.trim().to_owned());
        }
        _ => return None,
    };
    Some(level.to_owned())
}

pub(super) fn text(layers: &Layers, key: &str, problems: &mut Problems) -> Option<String> {
    layers.get(key, "a string", problems)
}

fn count(layers: &Layers, key: &str, problems: &mut Problems) -> Option<usize> {
    let count = layers.get(key, "a whole number of at least 1", problems)?;
    if count == 0 {
        problems.error(
            &layers.place(key),
            "this must be at least 1",
            "write a larger number, or leave it out",
        );
        return None;
    }
    Some(count)
}

fn seconds(layers: &Layers, key: &str, problems: &mut Problems) -> Option<Duration> {
    let seconds = layers.get(key, "a number of seconds", problems)?;
    fields::seconds(seconds, &layers.place(key), problems)
}
