//! The pages of the manual, `nix/man`: from the definition of the command line and from the table of keys. Packages
//! install them; a test writes them anew with `MCPO_TESTS_WRITE=1`.

use std::path::Path;

use clap::{Arg, Command, CommandFactory as _};
use serde_json::Value;

use super::arguments::CommandLine;
use crate::config;

/// `mcpo(1)`.
fn commands() -> String {
    let mut command = CommandLine::command();
    command.build();
    let mut page = head("MCPO", 1, "User Commands", "mcpo", "many MCP servers behind one HTTP port");
    page.push_str(".SH SYNOPSIS\n.nf\n");
    page.push_str(&text("mcpo [OPTIONS] [-- COMMAND [ARGUMENTS]...]\nmcpo COMMAND [OPTIONS]"));
    page.push_str(".fi\n.SH DESCRIPTION\n");
    page.push_str(&about(&command));
    page.push_str(".SH OPTIONS\n");
    page.push_str(&options(&command));
    page.push_str(".SH COMMANDS\n");
    for command in
        command.get_subcommands().filter(|command| !command.is_hide_set() && command.get_name() != "help")
    {
        page.push_str(&format!(".SS mcpo {}\n", text(command.get_name()).trim_end()));
        page.push_str(&about(command));
        page.push_str(&options(command));
        page.push_str(&after(command));
    }
    page.push_str(".SH NOTES\n");
    page.push_str(&after(&command));
    page.push_str(
        ".SH FILES\n.TP\n.I /etc/mcpo/config.json\nThe configuration of the packaged unit.\n\
         .TP\n.I /etc/mcpo/credentials\nSecrets, a file each, which systemd reads and hands on.\n\
         .SH SEE ALSO\n.BR mcpo.json (5),\n.BR systemctl (1),\n.BR systemd\\-creds (1)\n",
    );
    page
}

/// `mcpo.json(5)`.
fn configuration() -> String {
    let schema = config::schema();
    let mut page = head("MCPO.JSON", 5, "File Formats", "mcpo.json", "configuration of the MCP gateway");
    page.push_str(".SH DESCRIPTION\n");
    page.push_str(&text(
        "A configuration is JSON; comments and trailing commas are allowed. `mcpo check --config FILE` reports every \
         problem of a file. Each setting of the gateway may also stand in a variable of the environment, named below. \
         Texts may refer to secrets: `${env:NAME}`, `${file:/path}`, `${credential:NAME}`; `$${` is a literal `${`.",
    ));
    for (title, pointer) in [
        ("SETTINGS OF THE GATEWAY", "/properties"),
        ("SETTINGS OF A SERVER", "/$defs/server/properties"),
        ("SETTINGS OF UNIT", "/$defs/server/properties/unit/properties"),
        ("SETTINGS OF OAUTH", "/$defs/server/properties/oauth/anyOf/1/properties"),
        ("SETTINGS OF AN API KEY", "/properties/apiKeys/additionalProperties/anyOf/1/properties"),
        ("SETTINGS OF A PROFILE", "/properties/profiles/additionalProperties/properties"),
    ] {
        page.push_str(&format!(".SH {title}\n"));
        page.push_str(&keys("", schema.pointer(pointer).expect("the schema has these keys")));
    }
    page.push_str(".SH SEE ALSO\n.BR mcpo (1)\n");
    page
}

fn keys(prefix: &str, properties: &Value) -> String {
    let mut page = String::new();
    for (name, key) in properties.as_object().expect("keys are members") {
        if let (None, Some(_)) = (key.get("x-reload"), key["properties"].as_object()) {
            page.push_str(&keys(&format!("{name}."), &key["properties"]));
        }
        let (Some(reload), None) = (key["x-reload"].as_str(), key.get("x-spelling-of")) else { continue };
        page.push_str(&format!(".TP\n.B {}", text(&format!("{prefix}{name}"))));
        let mut meaning = format!("{}.", key["description"].as_str().expect("every key is described"));
        if let Some(default) = key.get("default") {
            meaning.push_str(&format!(" Without it: {default}."));
        }
        meaning.push_str(match reload {
            "restart" => " A change counts after a restart.",
            "server-replaced" => " After a change the server is started anew.",
            "next-server-start" => " A change counts from a server's next start.",
            _ => " A change counts at once.",
        });
        if let Some(variable) = key["x-environment"].as_str() {
            meaning.push_str(&format!(" Variable: {variable}."));
        }
        page.push_str(&text(&meaning));
    }
    page
}

fn head(title: &str, section: u8, volume: &str, name: &str, purpose: &str) -> String {
    let version = env!("CARGO_PKG_VERSION");
    format!(".TH {title} {section} \"\" \"mcpo {version}\" \"{volume}\"\n.SH NAME\n{name} \\- {purpose}\n")
}

fn about(command: &Command) -> String {
    text(&command.get_about().map(ToString::to_string).unwrap_or_default())
}

/// The part after the options, with its columns.
fn after(command: &Command) -> String {
    let after = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    let mut page = String::new();
    for paragraph in after.split("\n\n").filter(|paragraph| !paragraph.is_empty()) {
        match paragraph.contains('\n') {
            true => page.push_str(&format!(".PP\n.nf\n{}.fi\n", text(paragraph))),
            false => page.push_str(&format!(".PP\n{}", text(paragraph))),
        }
    }
    page
}

fn options(command: &Command) -> String {
    let shown = command.get_arguments().filter(|argument| !argument.is_hide_set());
    let is_own = |argument: &&Arg| argument.get_id() != "help" || command.get_name() == "mcpo";
    shown.filter(is_own).map(option).collect()
}

fn option(argument: &Arg) -> String {
    let short = argument.get_short().map(|short| format!("-{short}"));
    let long = argument.get_long().map(|long| format!("--{long}"));
    let mut name: String = short.into_iter().chain(long).collect::<Vec<_>>().join(", ");
    let value = argument.get_value_names().unwrap_or_default().first().map(ToString::to_string);
    if let Some(value) = value.filter(|_| argument.is_positional() || argument.get_action().takes_values()) {
        name.push_str(&format!("{}{value}", if name.is_empty() { "" } else { " " }));
    }
    let mut help = argument.get_help().map(ToString::to_string).unwrap_or_default();
    let defaults: Vec<_> =
        argument.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
    if argument.get_action().takes_values() && !defaults.is_empty() {
        help.push_str(&format!(" [default: {}]", defaults.join(" ")));
    }
    format!(".TP\n.B {}{}", text(&name), text(&help))
}

/// Plain text as lines of roff.
fn text(plain: &str) -> String {
    let mut page = String::new();
    for line in plain.lines() {
        if line.starts_with(['.', '\'']) {
            page.push_str("\\&");
        }
        for character in line.chars() {
            match character {
                '\\' => page.push_str("\\e"),
                '-' => page.push_str("\\-"),
                '\'' => page.push_str("\\(aq"),
                '`' => page.push_str("\\(ga"),
                '^' => page.push_str("\\(ha"),
                '~' => page.push_str("\\(ti"),
                other => page.push(other),
            }
        }
        page.push('\n');
    }
    page
}

#[test]
fn the_pages_of_the_manual_are_fresh() {
    for (name, wanted) in [("mcpo.1", commands()), ("mcpo.json.5", configuration())] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("nix/man").join(name);
        if std::env::var_os("MCPO_TESTS_WRITE").is_some() {
            std::fs::write(&path, &wanted).unwrap();
        }
        let recorded = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            recorded == wanted,
            "{} is not what the program says: write it with MCPO_TESTS_WRITE=1",
            path.display()
        );
    }
}

#[test]
fn no_text_is_taken_for_a_request_of_roff() {
    assert_eq!(text(".TH\n'x\na\\b"), "\\&.TH\n\\&\\(aqx\na\\eb\n");
}
