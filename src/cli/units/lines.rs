//! Lines of unit files: sets of directives, and texts as systemd reads them.

use std::collections::BTreeMap;
use std::path::Path;
use std::slice;
use std::sync::LazyLock;

use serde::Deserialize;
use serde_json::Value;

/// Text, a number or a boolean by the name of the directive; or a list, which takes a line for each.
type Directives = BTreeMap<String, Value>;

/// The directives that restrict the units; the NixOS module reads the same file.
#[derive(Debug, Deserialize)]
struct Hardening {
    everywhere: Directives,
    server: Directives,
    network: BTreeMap<String, Directives>,
}

static HARDENING: LazyLock<Hardening> = LazyLock::new(|| {
    serde_json::from_str(include_str!("../../../nix/module/hardening.json"))
        .expect("the file is part of the program")
});

/// The restrictions of a server, with or without the network.
pub(super) fn of_server(network: bool) -> String {
    let network = &HARDENING.network[if network { "all" } else { "none" }];
    lines([&HARDENING.everywhere, &HARDENING.server, network])
}

/// The directives of all sets, a line each.
fn lines<const N: usize>(sets: [&Directives; N]) -> String {
    let mut text = String::new();
    for (name, value) in sets.into_iter().flatten() {
        for value in value.as_array().map_or(slice::from_ref(value), Vec::as_slice) {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            text.push_str(&format!("{name}={value}\n"));
        }
    }
    text
}

/// One argument of a command. systemd expands `%` and `$` unless they are doubled, and reads the quotes of JSON.
pub(super) fn argument(text: &str) -> String {
    quoted(&text.replace('$', "$$"))
}

/// The program of a command, in quotes where its path has a blank. systemd expands no `$` there.
pub(super) fn executable(path: &Path) -> String {
    let path = path.display().to_string();
    match path.contains(char::is_whitespace) {
        true => quoted(&path),
        false => path.replace('%', "%%"),
    }
}

/// One variable of `Environment=`, in which `$` is a plain character.
pub(super) fn variable(name: &str, value: &str) -> String {
    format!("Environment={}\n", quoted(&format!("{name}={value}")))
}

fn quoted(text: &str) -> String {
    Value::from(text.replace('%', "%%")).to_string()
}

/// The line that loads the credential `id`, which is in a file of its own, possibly encrypted.
pub(super) fn credential(id: &str, name: &str, directory: &Path) -> String {
    let encrypted = directory.join(format!("{name}.cred"));
    match encrypted.exists() {
        true => format!("LoadCredentialEncrypted={id}:{}\n", encrypted.display()),
        false => format!("LoadCredential={id}:{}\n", directory.join(name).display()),
    }
}
