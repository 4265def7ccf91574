//! The keys of an entry: the gateway's own, and those that other clients have there.

use super::super::fields::Fields;
use super::super::keys::entry;
use super::super::problem::Problems;

/// Keys that other clients put into an entry and that say nothing to a gateway.
const FOREIGN: &[&str] = &[
    "autoApprove",
    "alwaysAllow",
    "inputs",
    "name",
    "title",
    "description",
    "icon",
    "iconUrl",
    "gallery",
    "metadata",
    "tags",
    "version",
    "note",
    "notes",
    "comment",
    "trust",
    // Roo, VS Code, Zed
    "watchPaths",
    "dev",
    "sandbox",
    "sandboxEnabled",
    "source",
    // Cherry Studio
    "configSample",
    "disabledAutoApproveTools",
    "dxtPath",
    "dxtVersion",
    "id",
    "installSource",
    "isTrusted",
    "logoUrl",
    "longRunning",
    "provider",
    "providerUrl",
    "reference",
    "registryUrl",
    "searchKey",
    "shouldConfig",
    "trustedAt",
    // Others
    "alwaysLoad",
    "anythingllm",
    "author",
    "autoStart",
    "bundled",
    "category",
    "chatMenu",
    "displayName",
    "display_name",
    "faviconUrl",
    "fromGalleryId",
    "homepage",
    "iconPath",
    "label",
    "official",
    "registryId",
    "repository",
    "start_on_launch",
    "uuid",
];

/// Keys of other clients that mean something here under another name.
const TRANSLATED: &[(&str, &str)] = &[
    ("httpUrl", "`\"type\": \"http\"` and `url`"),
    ("serverUrl", "`\"type\": \"http\"` and `url`"),
    ("baseUrl", "`\"type\": \"http\"` and `url`"),
    ("uri", "`\"type\": \"http\"` and `url`"),
    ("endpoint", "`\"type\": \"http\"` and `url`"),
    ("transport", "`type`"),
    ("transportType", "`type`"),
    ("cmd", "`command`"),
    ("environment", "`env`"),
    ("envs", "`env`"),
    ("working_directory", "`cwd`"),
    ("workingDirectory", "`cwd`"),
    ("http_headers", "`headers`"),
    ("requestOptions", "`headers`"),
    ("bearer_token_env_var", "`\"headers\": { \"Authorization\": \"Bearer ${env:NAME}\" }`"),
    ("isActive", "`enabled`"),
    ("active", "`enabled`"),
    ("includeTools", "`enabledTools`"),
    ("excludeTools", "`disabledTools`"),
    ("available_tools", "`enabledTools`"),
    ("tool_timeout_sec", "`timeout`"),
    ("initTimeout", "`limits.startTimeout`"),
    ("startup_timeout_sec", "`limits.startTimeout`"),
];

/// Reports keys that mean nothing to a gateway, and those that mean something under another name.
pub(super) fn report_others(fields: &Fields<'_>, problems: &mut Problems) {
    let translated = report_translated(fields, problems);
    fields.report_unknown("a server", &entry::names(), &[FOREIGN, &translated].concat(), problems);
}

/// Reports keys that have another name here, and gives them.
fn report_translated(fields: &Fields<'_>, problems: &mut Problems) -> Vec<&'static str> {
    let found: Vec<_> = TRANSLATED.iter().filter_map(|known| Some((known, fields.get(known.0)?.1))).collect();
    for ((name, own), location) in &found {
        let message = format!("`{name}` is a setting of another client, and is ignored");
        problems.slip(location, message, format!("write {own} instead"));
    }
    found.into_iter().map(|((name, _), _)| *name).collect()
}
