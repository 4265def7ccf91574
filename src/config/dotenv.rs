//! The dotenv files of `--env-path` and `envFile`: `NAME=value` a line, with `export`, comments and quotes.
//!
//! Values are taken as they are written; nothing in them is expanded.

use std::path::Path;

use super::environment;
use super::location::{Location, Position};
use super::problem::Problems;
use super::secret::{SecretError, read_text};
use super::sources::Purpose;

/// The variables of the file at `path`, in its order; what is wrong with it is among the problems.
pub(super) fn read(path: &Path, problems: &mut Problems) -> Vec<(String, String)> {
    match read_text(path) {
        Ok(text) => parse(path, &text, problems),
        Err(error) => {
            let mut location = Location::file(path);
            location.key_path = "--env-path".to_owned();
            problems.error(
                &location,
                format!("the file cannot be read: {error}"),
                "check the path given to --env-path",
            );
            Vec::new()
        }
    }
}

/// The variables of the `envFile` at `path`, read at the start of its server. The gateway's own are left
/// out, as they are from `--env-path`: such files are often shared.
pub(super) fn read_at_start(path: &Path) -> Result<Vec<(String, String)>, SecretError> {
    let failed = |reason| SecretError::EnvFile { path: path.display().to_string(), reason };
    let text = read_text(path).map_err(failed)?;
    let mut problems = Problems::new(Purpose::Serve);
    let mut variables = parse(path, &text, &mut problems);
    if let Some(problem) = problems.into_sorted().first() {
        return Err(failed(format!("line {}: {}", problem.line.unwrap_or(1), problem.message)));
    }
    variables.retain(|(name, _)| !environment::is_own(name));
    Ok(variables)
}

fn parse(path: &Path, text: &str, problems: &mut Problems) -> Vec<(String, String)> {
    let mut variables = Vec::new();
    for (index, line) in text.strip_prefix('\u{feff}').unwrap_or(text).lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let assignment = line.strip_prefix("export ").unwrap_or(line);
        let parsed = assignment.split_once('=').and_then(|(name, written)| {
            let name = name.trim();
            let good = !name.is_empty() && !name.contains(char::is_whitespace);
            Some((good.then(|| name.to_owned())?, value(written.trim())?))
        });
        match parsed {
            Some(variable) => variables.push(variable),
            None => {
                let mut location = Location::file(path);
                location.position = Some(Position { line: index + 1, column: 1 });
                problems.error(
                    &location,
                    "the line does not set a variable",
                    "write NAME=value on one line, closing every quote; a comment begins with #",
                );
            }
        }
    }
    variables
}

/// The value as written after `=`; `None` when a quote is not closed.
fn value(written: &str) -> Option<String> {
    if let Some(inner) = written.strip_prefix('\'') {
        let (value, rest) = inner.split_once('\'')?;
        return is_rest(rest).then(|| value.to_owned());
    }
    let Some(inner) = written.strip_prefix('"') else {
        let end = written.find(" #").or_else(|| written.find("\t#")).unwrap_or(written.len());
        return Some(written[..end].trim_end().to_owned());
    };
    let mut value = String::new();
    let mut characters = inner.chars();
    loop {
        match characters.next()? {
            '"' => return is_rest(characters.as_str()).then_some(value),
            '\\' => match characters.next()? {
                'n' => value.push('\n'),
                'r' => value.push('\r'),
                't' => value.push('\t'),
                escaped @ ('"' | '\\' | '$' | '`') => value.push(escaped),
                other => value.extend(['\\', other]),
            },
            plain => value.push(plain),
        }
    }
}

fn is_rest(rest: &str) -> bool {
    let rest = rest.trim_start();
    rest.is_empty() || rest.starts_with('#')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_with_quotes_comments_and_export() {
        let text = "\u{feff}# a comment\n\nA=1\nexport B = two words # why\nC='$X # no'\nD=\"a\\n\\\"b\\\" \\$\" # c\nE=\nF=a#b=c\n";
        let mut problems = Problems::new(Purpose::Serve);
        let found = parse(Path::new(".env"), text, &mut problems);
        let expected = [
            ("A", "1"),
            ("B", "two words"),
            ("C", "$X # no"),
            ("D", "a\n\"b\" $"),
            ("E", ""),
            ("F", "a#b=c"),
        ];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(found, expected);
        assert!(problems.into_sorted().is_empty());
    }

    #[test]
    fn a_line_that_sets_nothing_is_reported_without_its_text() {
        for line in ["hunter2", "=hunter2", "A='hunter2", "A=\"hunter2", "A B=hunter2", "A='x' hunter2"] {
            let mut problems = Problems::new(Purpose::Serve);
            assert!(parse(Path::new(".env"), &format!("X=1\n{line}"), &mut problems).len() == 1);
            let problem = problems.into_sorted().remove(0).to_string();
            assert!(problem.starts_with("error: .env:2:1"), "{problem}");
            assert!(!problem.contains("hunter2"), "{problem}");
        }
    }
}
