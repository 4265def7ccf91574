//! How an entry says that its server is reached: `command`, `url`, `socket`, or the built-in server.

use http::{HeaderName, HeaderValue};
use url::Url;

use super::super::environment;
use super::super::fields::{Fields, lenient_text};
use super::super::problem::{Place, Problems, nearest};
use super::super::settings::secret;
use super::super::{HttpConfig, SecretText, SingleServer, SocketConfig, StdioConfig, TransportConfig};
use super::{directory, is_builtin, object};

/// A socket's path and its closing zero must fit into `sockaddr_un`. In bytes.
const LONGEST_SOCKET_PATH: usize = 107;

/// The values of `type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Type {
    Stdio,
    Sse,
    StreamableHttp,
    Socket,
    Gateway,
}

/// Every spelling of a type, the first of each being its name.
const TYPES: &[(&str, Type)] = &[
    ("stdio", Type::Stdio),
    ("sse", Type::Sse),
    ("streamable-http", Type::StreamableHttp),
    ("streamable_http", Type::StreamableHttp),
    ("streamablehttp", Type::StreamableHttp),
    ("http", Type::StreamableHttp),
    ("socket", Type::Socket),
    ("gateway", Type::Gateway),
];

/// The transport of one entry of a file.
pub(super) fn of_entry(fields: &Fields<'_>, problems: &mut Problems) -> Option<TransportConfig> {
    let built_in = is_builtin(fields, problems);
    let declared = match fields.text("type", problems) {
        None if fields.get("type").is_some() => return None,
        None => None,
        Some((written, place)) => Some(declared_type(written, &place, problems)?),
    };
    if built_in || declared == Some(Type::Gateway) {
        return Some(TransportConfig::Gateway);
    }
    let (command, url, socket) = (fields.get("command"), fields.get("url"), fields.get("socket"));
    if let Some((_, place)) = socket.as_ref().filter(|_| command.is_some() || url.is_some()) {
        problems.error(
            place,
            "`socket` stands beside `command` or `url`; a server is reached in one way",
            "keep one of them",
        );
        return None;
    }
    if let (Some((_, command)), Some((_, url))) = (&command, &url) {
        let (ignored, winner) =
            if declared == Some(Type::Stdio) { (url, "command") } else { (command, "url") };
        problems.warning(
            ignored,
            format!("the entry has `command` and `url`; `{winner}` wins"),
            "keep the one that is meant",
        );
    }
    match declared {
        Some(Type::Stdio) => stdio(fields, problems),
        Some(Type::Sse) => http(fields, "sse", problems).map(TransportConfig::Sse),
        Some(Type::StreamableHttp) => {
            http(fields, "streamable-http", problems).map(TransportConfig::StreamableHttp)
        }
        Some(Type::Socket) => socket_transport(fields, problems),
        Some(Type::Gateway) => Some(TransportConfig::Gateway),
        None if url.is_some() => {
            let (_, place) = url?;
            problems.warning(
                &place,
                "a `url` without `type` is legacy SSE, as in mcpo",
                "add `\"type\": \"http\"` for streamable HTTP, which most servers speak, or `\"type\": \"sse\"`",
            );
            http(fields, "sse", problems).map(TransportConfig::Sse)
        }
        None if socket.is_some() => socket_transport(fields, problems),
        None if command.is_some() => stdio(fields, problems),
        None => {
            problems.error(
                &fields.place,
                "the entry says neither `command` (stdio) nor `type` and `url` (remote) nor `socket`",
                "add `\"command\": \"...\"`, or `\"type\": \"http\", \"url\": \"...\"`",
            );
            None
        }
    }
}

/// The transport of `mcpo -- ...`.
pub(super) fn of_command_line(server: &SingleServer, problems: &mut Problems) -> Option<TransportConfig> {
    let type_place = Place::outside_files("--type");
    let declared = match &server.transport {
        None => Type::Stdio,
        Some(written) => declared_type(written, &type_place, problems)?,
    };
    let (first, rest) = server.command.split_first()?;
    match declared {
        Type::Stdio => {
            if !server.headers.is_empty() {
                let place = Place::outside_files("--header");
                problems.warning(&place, "a stdio server gets no headers", "remove it, or give --type");
            }
            let stdio = StdioConfig { command: first.clone(), args: rest.to_vec(), ..StdioConfig::default() };
            Some(TransportConfig::Stdio(stdio))
        }
        Type::Sse | Type::StreamableHttp => {
            let place = Place::outside_files("--");
            if !rest.is_empty() {
                problems.warning(&place, "only the URL counts; the rest is ignored", "give the URL alone");
            }
            let url = url(first, &place, problems)?;
            let place = Place::outside_files("--header");
            let headers =
                server.headers.iter().filter_map(|(name, value)| header(name, value, &place, problems));
            let http = HttpConfig { headers: headers.collect(), url };
            Some(match declared {
                Type::Sse => TransportConfig::Sse(http),
                _ => TransportConfig::StreamableHttp(http),
            })
        }
        Type::Socket => Some(TransportConfig::Socket(SocketConfig { path: first.into() })),
        Type::Gateway => Some(TransportConfig::Gateway),
    }
}

fn declared_type(written: &str, place: &Place, problems: &mut Problems) -> Option<Type> {
    if let Some((_, known)) = TYPES.iter().find(|(name, _)| name.eq_ignore_ascii_case(written)) {
        return Some(*known);
    }
    let fix = match nearest(written, TYPES.iter().map(|(name, _)| *name)) {
        Some(candidate) => format!("write `{candidate}`"),
        None => "write stdio, http (streamable HTTP), sse or socket".to_owned(),
    };
    problems.error(place, format!("`{written}` is not a type of server"), fix);
    None
}

fn stdio(fields: &Fields<'_>, problems: &mut Problems) -> Option<TransportConfig> {
    warn_unused(fields, &["headers"], "a stdio server", problems);
    let command = match fields.text("command", problems) {
        Some((command, place)) if command.trim().is_empty() => {
            problems.error(&place, "the command is empty", "write the program to run");
            None
        }
        Some((command, _)) => Some(command.to_owned()),
        None => {
            if fields.get("command").is_none() {
                problems.error(
                    &fields.place,
                    "a server of type `stdio` needs a `command`",
                    "add `\"command\": \"...\"`, or give the `type` that goes with `url`",
                );
            }
            None
        }
    };
    let args = args(fields, problems);
    let env = env(fields, problems);
    let pass_env = pass_env(fields, problems);
    let cwd = fields.text("cwd", problems).map(|(path, place)| directory(&place).join(path));
    Some(TransportConfig::Stdio(StdioConfig {
        command: command?,
        args,
        env,
        pass_env,
        cwd,
        given_env: Vec::new(),
    }))
}

fn args(fields: &Fields<'_>, problems: &mut Problems) -> Vec<String> {
    use super::super::document::NodeValue;
    let Some((node, place)) = fields.get("args") else { return Vec::new() };
    let NodeValue::List(elements) = &node.value else {
        super::mismatch::<()>(&place, "a list of strings", node, problems);
        return Vec::new();
    };
    let elements = elements.iter().enumerate();
    elements
        .filter_map(|(index, element)| {
            lenient_text(element, &place.element(index, element.position), problems)
        })
        .collect()
}

fn env(fields: &Fields<'_>, problems: &mut Problems) -> Vec<(String, SecretText)> {
    let Some(members) = object(fields, "env", problems) else { return Vec::new() };
    let mut env = Vec::new();
    for (name, node, place) in members.iter() {
        if name.is_empty() || name.contains(['=', '\0']) {
            problems.error(&place, "this cannot be the name of a variable", "use a name without `=`");
        }
        let Some(text) = lenient_text(node, &place, problems) else { continue };
        if text.contains('\0') {
            problems.error(&place, "a variable cannot hold a zero byte", "remove `\\u0000`");
        }
        if let Some(value) = secret(&text, &place, problems) {
            env.push((name.to_owned(), value));
        }
    }
    env
}

fn pass_env(fields: &Fields<'_>, problems: &mut Problems) -> Vec<String> {
    let names = fields.texts("passEnv", problems).unwrap_or_default();
    for (name, place) in names.iter().filter(|(name, _)| environment::is_own(name)) {
        problems.error(
            place,
            format!("`{name}` belongs to the gateway itself and is never passed on"),
            "remove it; give the server its own value in `env`",
        );
    }
    names.into_iter().map(|(name, _)| name).collect()
}

fn http(fields: &Fields<'_>, name: &str, problems: &mut Problems) -> Option<HttpConfig> {
    if fields.get("command").is_none() {
        warn_unused(fields, &["args", "env", "passEnv", "cwd"], "a remote server", problems);
    }
    let address = match fields.text("url", problems) {
        Some((written, place)) => url(written, &place, problems),
        None => {
            if fields.get("url").is_none() {
                problems.error(
                    &fields.place,
                    format!("a server of type `{name}` needs a `url`"),
                    "add `\"url\": \"http://...\"`",
                );
            }
            None
        }
    };
    let mut headers: Vec<(String, SecretText)> = Vec::new();
    if let Some(members) = object(fields, "headers", problems) {
        for (name, node, place) in members.iter() {
            let Some(text) = lenient_text(node, &place, problems) else { continue };
            let Some(parsed) = header(name, &text, &place, problems) else { continue };
            if headers.iter().any(|(known, _)| known.eq_ignore_ascii_case(name)) {
                problems.slip(
                    &place,
                    format!("the header `{name}` stands here twice"),
                    "keep one; upper and lower case do not matter",
                );
            }
            headers.push(parsed);
        }
    }
    Some(HttpConfig { url: address?, headers })
}

/// The URL; one with references can only be checked when those are read.
fn url(written: &str, place: &Place, problems: &mut Problems) -> Option<SecretText> {
    let text = secret(written, place, problems)?;
    let Some(literal) = text.as_literal() else { return Some(text) };
    let good =
        Url::parse(literal).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    if !good {
        problems.error(place, "this is no http or https URL", "write one such as http://localhost:25531/mcp");
        return None;
    }
    Some(text)
}

fn header(name: &str, value: &str, place: &Place, problems: &mut Problems) -> Option<(String, SecretText)> {
    if HeaderName::from_bytes(name.as_bytes()).is_err() {
        problems.error(
            place,
            format!("{name:?} cannot be the name of a header"),
            "use letters, digits and `-`",
        );
        return None;
    }
    let text = secret(value, place, problems)?;
    if text.as_literal().is_some_and(|literal| HeaderValue::from_str(literal).is_err()) {
        let message = format!("the value of `{name}` cannot stand in a header");
        problems.error(place, message, "remove line breaks and control characters");
        return None;
    }
    Some((name.to_owned(), text))
}

fn socket_transport(fields: &Fields<'_>, problems: &mut Problems) -> Option<TransportConfig> {
    warn_unused(fields, &["args", "env", "passEnv", "cwd", "headers"], "a socket", problems);
    let Some((written, place)) = fields.text("socket", problems) else {
        if fields.get("socket").is_none() {
            let message = "a server of type `socket` needs a `socket`";
            problems.error(&fields.place, message, "add `\"socket\": \"/run/...\"`");
        }
        return None;
    };
    let path = directory(&place).join(written);
    if written.is_empty() || path.as_os_str().len() > LONGEST_SOCKET_PATH {
        let message = format!("a socket's path has 1 to {LONGEST_SOCKET_PATH} bytes");
        problems.error(&place, message, "write the path of a Unix socket, such as /run/mcpo/time.sock");
        return None;
    }
    Some(TransportConfig::Socket(SocketConfig { path }))
}

fn warn_unused(fields: &Fields<'_>, keys: &[&str], owner: &str, problems: &mut Problems) {
    for (key, place) in keys.iter().filter_map(|key| Some((key, fields.get(key)?.1))) {
        problems.warning(&place, format!("`{key}` means nothing to {owner} and is ignored"), "remove it");
    }
}
