//! The words of a command in a file: which placeholders are replaced here, and which belong to other clients.
//!
//! `~/` at the beginning and `${userHome}` anywhere are the home directory of the user that the gateway runs as; `$${` is a
//! literal `${`. `${caller}` stands for the caller of an isolated server. References to secrets are not read here: command lines can be seen by every user of the machine.

use std::path::Path;

use super::super::isolation::{MARK, PLACEHOLDER};
use super::super::location::Location;
use super::super::problem::Problems;

const USER_HOME: &str = "userHome";
/// Programs whose arguments may hold `${NAME}` for themselves.
const SHELLS: [&str; 7] = ["sh", "bash", "dash", "zsh", "ksh", "fish", "busybox"];

/// How the words of one command are read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Words<'a> {
    home: Option<&'a str>,
    of_shell: bool,
    /// The server is isolated, so that the words may name the caller.
    is_isolated: bool,
}

impl<'a> Words<'a> {
    /// Without `home`, as `mcpo check` has none, what stands for it stays as it is written.
    pub fn of(command: Option<&str>, home: Option<&'a str>, is_isolated: bool) -> Self {
        let name = command.and_then(|command| Path::new(command).file_name()).and_then(|name| name.to_str());
        Self { home, of_shell: name.is_some_and(|name| SHELLS.contains(&name)), is_isolated }
    }

    /// The word as the program gets it; a placeholder of another client stays, and is reported.
    pub fn read(self, word: &str, location: &Location, problems: &mut Problems) -> String {
        let mut read = String::with_capacity(word.len());
        let (mut rest, mut homes, mut reported) = (word, None, false);
        if word.contains('\0') {
            problems.error(location, "a word of a command cannot hold a zero byte", "remove `\\u0000`");
        }
        if word.starts_with("~/") {
            homes = Some("~/");
            read.push_str(self.home.unwrap_or("~"));
            rest = &word[1..];
        }
        while let Some(start) = rest.find("${") {
            let (before, reference) = rest.split_at(start);
            if let Some(before) = before.strip_suffix('$') {
                read.push_str(before);
                read.push_str("${");
                rest = &reference[2..];
                continue;
            }
            read.push_str(before);
            let Some(end) = reference.find('}') else {
                rest = reference;
                break;
            };
            let (reference, after) = reference.split_at(end + 1);
            match (&reference[2..end], self.home) {
                (USER_HOME, home) => {
                    homes = Some("${userHome}");
                    read.push_str(home.unwrap_or(reference));
                }
                _ if self.is_isolated && reference == PLACEHOLDER => read.push_str(MARK),
                (inner, _) => {
                    read.push_str(reference);
                    let is_own = self.of_shell && is_variable(inner);
                    if !is_own && !reported {
                        report(inner, location, problems);
                        reported = true;
                    }
                }
            }
            rest = after;
        }
        read.push_str(rest);
        if let Some(written) = homes {
            problems.warning(
                location,
                format!("`{written}` is the home directory of the user that the gateway runs as"),
                "write the path itself if another one is meant",
            );
        }
        read
    }
}

fn report(inner: &str, location: &Location, problems: &mut Problems) {
    let is_secret = ["env:", "file:", "credential:"].iter().any(|kind| inner.starts_with(kind));
    let is_caller = inner == "caller";
    let why = if is_caller {
        "stands for the callers that `isolation` keeps apart, and all share this server"
    } else if is_secret {
        "is not read here, since every user of the machine can see the words of a command"
    } else {
        "is not replaced: it stands for something that another client knows"
    };
    let fix = if is_caller {
        "add `\"isolation\": \"user\"`; in `env`, `args` and `cwd` it then stands for the caller"
    } else if is_secret {
        "put it into `env`, and have the server take it from that variable"
    } else {
        "write the value itself, or put it into `env` as `${env:NAME}`; `$${` is a literal `${`"
    };
    problems.slip(location, format!("`${{{inner}}}` {why}"), fix);
}

/// Whether a shell would replace `${name}` itself.
fn is_variable(name: &str) -> bool {
    !name.starts_with("workspace") && !name.contains(':')
}

/// Warns of a command line where a program's name belongs.
pub(super) fn warn_of_line(command: &str, location: &Location, problems: &mut Problems) {
    let mut words = command.split_whitespace();
    let first = words.next().unwrap_or_default();
    let mut others = words.peekable();
    // A path may hold spaces.
    let is_line =
        others.peek().is_some() && (!first.contains('/') || others.any(|word| word.starts_with('-')));
    if is_line {
        problems.warning(
            location,
            "this is taken as the name of one program, with its spaces",
            format!("write `{first}` here, and the words behind it as the list `args`"),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::sources::Purpose;
    use super::*;

    fn read(words: Words<'_>, word: &str) -> (String, Vec<String>) {
        let mut problems = Problems::new(Purpose::Check);
        let read = words.read(word, &Location::default(), &mut problems);
        (read, problems.into_sorted().iter().map(ToString::to_string).collect())
    }

    #[test]
    fn the_home_directory_is_put_in_its_place_with_a_word() {
        let words = Words::of(Some("npx"), Some("/home/me"), false);
        for (word, expected) in [
            ("~/notes", "/home/me/notes"),
            ("${userHome}/x", "/home/me/x"),
            ("--dir=${userHome}", "--dir=/home/me"),
            ("~/a:${userHome}/b", "/home/me/a:/home/me/b"),
        ] {
            let (found, problems) = read(words, word);
            assert_eq!(found, expected);
            assert!(
                problems[0].starts_with("warning") && problems[0].contains("home directory"),
                "{problems:?}"
            );
            let (unread, problems) = read(Words::of(None, None, false), word);
            assert_eq!((unread.as_str(), problems.len()), (word, 1));
        }
    }

    #[test]
    fn what_stands_for_nothing_stays_without_a_word() {
        let words = Words::of(Some("npx"), Some("/home/me"), false);
        for (word, expected) in [
            ("~", "~"),
            ("~other/x", "~other/x"),
            ("a~/b", "a~/b"),
            ("$HOME", "$HOME"),
            ("{env:X}", "{env:X}"),
            ("$${X}", "${X}"),
            ("a$${userHome}b", "a${userHome}b"),
            ("${unclosed", "${unclosed"),
            ("", ""),
        ] {
            assert_eq!(read(words, word), (expected.to_owned(), Vec::new()));
        }
    }

    #[test]
    fn placeholders_of_other_clients_and_secrets_are_told_with_the_place_for_them() {
        let words = Words::of(Some("npx"), Some("/home/me"), false);
        for (word, why) in [
            ("${workspaceFolder}/x", "another client knows"),
            ("${input:token}", "another client knows"),
            ("${GITHUB_TOKEN}", "another client knows"),
            ("--key=${env:KEY}", "every user of the machine"),
            ("${file:/run/key}", "every user of the machine"),
            ("${credential:key} ${env:X}", "every user of the machine"),
        ] {
            let (found, problems) = read(words, word);
            assert_eq!((found.as_str(), problems.len()), (word, 1), "{problems:?}");
            assert!(problems[0].starts_with("error") && problems[0].contains(why), "{problems:?}");
            assert!(problems[0].contains("`env`"), "{problems:?}");
        }
    }

    #[test]
    fn a_shell_has_variables_of_its_own() {
        let words = Words::of(Some("/bin/sh"), Some("/home/me"), false);
        assert_eq!(read(words, "exec x ${TOKEN:-none}").1.len(), 1);
        assert_eq!(read(words, "exec x ${TOKEN}"), ("exec x ${TOKEN}".to_owned(), Vec::new()));
        assert_eq!(read(words, "cd ${workspaceFolder}").1.len(), 1);
    }

    #[test]
    fn a_command_line_is_told_from_a_program() {
        let warned = |command: &str| {
            let mut problems = Problems::new(Purpose::Check);
            warn_of_line(command, &Location::default(), &mut problems);
            problems.into_sorted().len()
        };
        for line in ["npx -y server", "node server.js", "/usr/bin/npx -y server", " uvx  x"] {
            assert_eq!(warned(line), 1, "{line}");
        }
        for program in ["npx", "/opt/My App/run", "./a b/c", ""] {
            assert_eq!(warned(program), 0, "{program}");
        }
    }
}
