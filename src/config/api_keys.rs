//! API keys: the one of `--api-key` and the named ones of `apiKeys`.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};

use super::auth::{ApiKeyConfig, RightsConfig};
use super::fields::{Fields, secret};
use super::json_tree::JsonValue;
use super::key;
use super::keys::nested;
use super::layers::Layers;
use super::location::Location;
use super::name::ServerName;
use super::problem::Problems;
use super::profiles::ConfiguredNames;
use super::rights;
use super::secret::SecretText;
use super::server::ServerConfig;
use super::settings::Settings;
use super::sign_in;
use super::transport::TransportConfig;

/// The name of the key given by `--api-key`, `MCPO_API_KEY` or `apiKey`.
const ONLY_KEY: &str = "default";

/// Whether callers need a key, as far as the files show before the keys are read.
pub(super) fn are_wanted(documents: &[Fields<'_>], settings: &Settings) -> bool {
    let named = documents.iter().filter_map(|document| document.get("apiKeys"));
    let mut named = named.map(|(node, _)| matches!(&node.value, JsonValue::Object(keys) if !keys.is_empty()));
    settings.access.api_key.is_some() || named.any(|some| some)
}

/// All keys, checked against each other and against the servers they open.
pub(super) fn collect(
    documents: &[Fields<'_>],
    layers: &Layers,
    settings: &Settings,
    configured: &[ServerConfig],
    names: &mut ConfiguredNames,
    profiles: &HashSet<&str>,
    problems: &mut Problems,
) -> Vec<ApiKeyConfig> {
    let mut keys: Vec<Option<(ApiKeyConfig, Location)>> = Vec::new();
    let mut indices: HashMap<String, usize> = HashMap::new();
    if let Some(key) = &settings.access.api_key {
        // The operator's one key opens everything, as in mcpo, and so it may see the reasons of faults too.
        let rights = RightsConfig { admin: true, metrics: true, ..RightsConfig::default() };
        let key = ApiKeyConfig { rights, ..ApiKeyConfig::new(ONLY_KEY, key.clone()) };
        keys.push(Some((key, layers.location("apiKey"))));
    }
    for document in documents {
        let Some((node, location)) = document.get("apiKeys") else { continue };
        let Some(entries) = Fields::new(node, location, problems) else { continue };
        for (name, node, location) in entries.iter() {
            let good_name = !name.is_empty() && (name != ONLY_KEY || settings.access.api_key.is_none());
            if !good_name {
                let message = if name.is_empty() {
                    "a key needs a name"
                } else {
                    "`default` is the name of the key given by `apiKey` or --api-key"
                };
                problems.error(&location, message, "name the key after its user; logs show that name");
            }
            let key = match &node.value {
                JsonValue::Text(text) => {
                    secret(text, &location, problems).map(|key| ApiKeyConfig::new(name, key))
                }
                _ => Fields::new(node, location.clone(), problems)
                    .and_then(|fields| named(name, &fields, names, profiles, problems)),
            };
            let Some(key) = key.filter(|_| good_name) else { continue };
            if let Some(earlier) = indices.insert(key.name.clone(), keys.len()) {
                keys[earlier] = None;
            }
            keys.push(Some((key, location)));
        }
    }
    let keys: Vec<(ApiKeyConfig, Location)> = keys.into_iter().flatten().collect();
    check(&keys, configured, problems);
    keys.into_iter().map(|(key, _)| key).collect()
}

fn key_text(fields: &Fields<'_>, problems: &mut Problems) -> Option<SecretText> {
    fields.report_unknown("an API key", &key::names(nested::API_KEY), &["description"], problems);
    if fields.get("key").is_none() {
        problems.error(
            &fields.location,
            "`key` is missing",
            "add `\"key\": \"${env:NAME}\"` or `${file:/path}`",
        );
    }
    let (text, location) = fields.text("key", problems)?;
    secret(text, &location, problems)
}

/// The key of an object. Its rights are read for their problems also when there is no key to go with them.
fn named(
    name: &str,
    fields: &Fields<'_>,
    names: &mut ConfiguredNames,
    profiles: &HashSet<&str>,
    problems: &mut Problems,
) -> Option<ApiKeyConfig> {
    let key = key_text(fields, problems);
    let rights = rights::of_entry(fields, names, profiles, problems);
    let open_webui = fields.get("openWebUi").and_then(|(node, location)| {
        let fields = Fields::new(node, location, problems)?;
        sign_in::open_webui(&fields, names, profiles, problems)
    });
    Some(ApiKeyConfig { name: name.to_owned(), key: key?, rights, open_webui })
}

fn check(keys: &[(ApiKeyConfig, Location)], servers: &[ServerConfig], problems: &mut Problems) {
    let mut known: HashMap<&SecretText, &str> = HashMap::new();
    let passed = passed(servers);
    for (key, location) in keys {
        if key.key.as_literal().is_some_and(|text| text.trim().is_empty()) {
            problems.error(
                location,
                "the API key is empty",
                "give a key, or remove the setting to serve openly",
            );
        }
        match known.entry(&key.key) {
            Entry::Occupied(twin) => problems.error(
                location,
                format!(
                    "`{}` and `{}` are the same key, so the caller could not be told from the key",
                    twin.get(),
                    key.name
                ),
                "give each its own key",
            ),
            Entry::Vacant(own) => {
                own.insert(&key.name);
            }
        }
        for name in key.key.environment_names() {
            for server in passed.get(name).into_iter().flatten() {
                problems.error(
                    location,
                    format!("`passEnv` of the server `{server}` would hand it this key, in `{name}`"),
                    "remove the variable from `passEnv`",
                );
            }
        }
    }
}

/// The servers that are handed each variable.
fn passed(servers: &[ServerConfig]) -> HashMap<&str, Vec<&ServerName>> {
    let mut passed: HashMap<&str, Vec<&ServerName>> = HashMap::new();
    for server in servers {
        let TransportConfig::Stdio(stdio) = &server.transport else { continue };
        for name in &stdio.pass_env {
            passed.entry(name).or_default().push(&server.name);
        }
    }
    passed
}

/// Warns of settings that are dangerous, or useless, when no key is configured.
pub(super) fn open_gateway(layers: &Layers, settings: &Settings, problems: &mut Problems) {
    if settings.access.strict {
        problems.warning(
            &layers.location("strictAuth"),
            "strict mode protects nothing, because no API key is configured: everything is OPEN",
            "give --api-key, MCPO_API_KEY, `apiKey` or `apiKeys`",
        );
    }
    let origins = layers.location("corsAllowOrigins");
    let is_written = !origins.key_path.is_empty();
    if is_written && settings.listen.cors_allow_origins.iter().any(|origin| origin == "*") {
        problems.warning(
            &origins,
            "without an API key `*` lets in no page: only origins that are listed by name count",
            "list the origins of the pages that may call, such as https://chat.example.org, or configure an API key",
        );
    }
    let host = &settings.listen.host;
    let stays_here = match host.parse::<std::net::IpAddr>() {
        Ok(address) => address.is_loopback(),
        // The socket file's owner and mode restrict the callers.
        Err(_) => host.eq_ignore_ascii_case("localhost") || host.starts_with("unix:"),
    };
    if !stays_here {
        problems.warning(
            &layers.location("host"),
            format!(
                "listening on {host} without an API key: ANYONE who reaches this address can call every tool"
            ),
            "give --api-key, or listen on 127.0.0.1",
        );
    }
}
