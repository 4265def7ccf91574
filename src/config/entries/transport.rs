//! How an entry says that its server is reached: `command`, `url`, `socket`, or the built-in server.

use std::path::PathBuf;

use super::super::fields::Fields;
use super::super::location::Location;
use super::super::nearest::nearest;
use super::super::problem::Problems;
use super::super::sources::SingleServer;
use super::super::transport::{
    HttpConfig, SocketConfig, StdioConfig, TRANSPORT_TYPES, TransportConfig, TransportType,
};
use super::context::warn_unused;
use super::{remote, stdio};

/// A socket's path and its closing zero must fit into `sockaddr_un`. In bytes.
const LONGEST_SOCKET_PATH: usize = 107;

/// The transport of one entry of a file.
pub(super) fn of_entry(
    fields: &Fields<'_>,
    home: Option<&str>,
    problems: &mut Problems,
) -> Option<TransportConfig> {
    let built_in = is_builtin(fields, problems);
    let declared = match fields.text("type", problems) {
        None if fields.get("type").is_none() => None,
        written => {
            let declared =
                written.and_then(|(written, location)| declared_type(written, &location, problems));
            if declared.is_none() {
                check_members(fields, problems);
                return None;
            }
            declared
        }
    };
    if built_in || declared == Some(TransportType::Gateway) {
        return Some(TransportConfig::Gateway);
    }
    let (command, url, socket) = (fields.get("command"), fields.get("url"), fields.get("socket"));
    if let Some((_, location)) = socket.as_ref().filter(|_| command.is_some() || url.is_some()) {
        problems.error(
            location,
            "`socket` stands beside `command` or `url`; a server is reached in one way",
            "keep one of them",
        );
        check_members(fields, problems);
        return None;
    }
    if let (Some((_, command)), Some((_, url))) = (&command, &url) {
        let (ignored, winner) =
            if declared == Some(TransportType::Stdio) { (url, "command") } else { (command, "url") };
        problems.warning(
            ignored,
            format!("the entry has `command` and `url`; `{winner}` wins"),
            "keep the one that is meant",
        );
    }
    match declared {
        Some(TransportType::Stdio) => stdio::transport(fields, home, problems),
        Some(TransportType::Sse) => remote::http_config(fields, "sse", problems).map(TransportConfig::Sse),
        Some(TransportType::StreamableHttp) => {
            remote::http_config(fields, "streamable-http", problems).map(TransportConfig::StreamableHttp)
        }
        Some(TransportType::Socket) => socket_transport(fields, problems),
        Some(TransportType::Gateway) => Some(TransportConfig::Gateway),
        // Which transport it speaks is found out.
        None if url.is_some() => remote::http_config(fields, "http", problems).map(TransportConfig::Http),
        None if socket.is_some() => socket_transport(fields, problems),
        None if command.is_some() => stdio::transport(fields, home, problems),
        None => {
            problems.error(
                &fields.location,
                "the entry says neither `command` (stdio) nor `type` and `url` (remote) nor `socket`",
                "add `\"command\": \"...\"`, or `\"type\": \"http\", \"url\": \"...\"`",
            );
            check_members(fields, problems);
            None
        }
    }
}

/// The transport of `mcpo -- ...`.
pub(super) fn of_command_line(server: &SingleServer, problems: &mut Problems) -> Option<TransportConfig> {
    let type_place = Location::outside_files("--type");
    let declared = match &server.transport {
        None => TransportType::Stdio,
        Some(written) => declared_type(written, &type_place, problems)?,
    };
    let (first, rest) = server.command.split_first()?;
    match declared {
        TransportType::Stdio => {
            if !server.headers.is_empty() {
                let location = Location::outside_files("--header");
                problems.warning(&location, "a stdio server gets no headers", "remove it, or give --type");
            }
            let stdio = StdioConfig { command: first.clone(), args: rest.to_vec(), ..StdioConfig::default() };
            Some(TransportConfig::Stdio(stdio))
        }
        TransportType::Sse | TransportType::StreamableHttp => {
            let location = Location::outside_files("--");
            if !rest.is_empty() {
                problems.warning(&location, "only the URL counts; the rest is ignored", "give the URL alone");
            }
            let url = remote::address(first, &location, problems)?;
            let location = Location::outside_files("--header");
            let headers = server
                .headers
                .iter()
                .filter_map(|(name, value)| remote::header(name, value, &location, problems));
            let http = HttpConfig { headers: headers.collect(), url, other_urls: Vec::new(), oauth: None };
            Some(match declared {
                TransportType::Sse => TransportConfig::Sse(http),
                _ => TransportConfig::StreamableHttp(http),
            })
        }
        TransportType::Socket => Some(TransportConfig::Socket(SocketConfig { path: first.into() })),
        TransportType::Gateway => Some(TransportConfig::Gateway),
    }
}

/// Looks for further problems in an entry whose transport is unknown.
fn check_members(fields: &Fields<'_>, problems: &mut Problems) {
    if fields.get("url").is_some() || fields.get("headers").is_some() {
        remote::check_members(fields, problems);
    }
    socket_path(fields, problems);
    stdio::check_members(fields, problems);
}

fn declared_type(written: &str, location: &Location, problems: &mut Problems) -> Option<TransportType> {
    if let Some((_, known)) = TRANSPORT_TYPES.iter().find(|(name, _)| name.eq_ignore_ascii_case(written)) {
        return Some(*known);
    }
    let fix = match nearest(written, TRANSPORT_TYPES.iter().map(|(name, _)| *name)) {
        Some(candidate) => format!("write `{candidate}`"),
        None => "write stdio, http (streamable HTTP), sse or socket".to_owned(),
    };
    problems.error(location, format!("`{written}` is not a type of server"), fix);
    None
}

fn socket_transport(fields: &Fields<'_>, problems: &mut Problems) -> Option<TransportConfig> {
    warn_unused(
        fields,
        &["args", "env", "envFile", "passEnv", "cwd", "headers", "unit"],
        "a socket",
        problems,
    );
    if fields.get("socket").is_none() {
        let message = "a server of type `socket` needs a `socket`";
        problems.error(&fields.location, message, "add `\"socket\": \"/run/...\"`");
    }
    socket_path(fields, problems).map(|path| TransportConfig::Socket(SocketConfig { path }))
}

fn socket_path(fields: &Fields<'_>, problems: &mut Problems) -> Option<PathBuf> {
    let (written, location) = fields.text("socket", problems)?;
    let path = location.directory().join(written);
    if written.is_empty() || path.as_os_str().len() > LONGEST_SOCKET_PATH {
        let message = format!("a socket's path has 1 to {LONGEST_SOCKET_PATH} bytes");
        problems.error(&location, message, "write the path of a Unix socket, such as /run/mcpo/time.sock");
        return None;
    }
    Some(path)
}

/// The one value `gateway` that `type` and `builtin` take for the built-in server.
fn is_builtin(fields: &Fields<'_>, problems: &mut Problems) -> bool {
    let Some((name, location)) = fields.text("builtin", problems) else { return false };
    if name != "gateway" {
        problems.error(&location, format!("there is no built-in server `{name}`"), "write `gateway`");
    }
    true
}
