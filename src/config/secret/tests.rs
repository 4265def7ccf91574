use std::fs;

use secrecy::ExposeSecret;

use super::*;

fn resolved(text: &SecretText, variables: &[(&str, &str)]) -> Result<String, SecretError> {
    let lookup = |name: &str| {
        variables.iter().find(|(known, _)| *known == name).map(|(_, value)| OsString::from(value))
    };
    text.resolve_with(&lookup).map(|secret| secret.expose_secret().to_owned())
}

#[test]
fn references_are_replaced_and_escapes_and_dollars_stay() {
    let variables = [("TOKEN", "t0"), ("EMPTY", ""), ("TRAP", "${env:TOKEN}")];
    for (text, expected) in [
        ("plain", "plain"),
        ("", ""),
        ("Bearer ${env:TOKEN}", "Bearer t0"),
        ("${env:TOKEN}-${env:TOKEN}", "t0-t0"),
        ("[${env:EMPTY}]", "[]"),
        ("$${env:TOKEN}", "${env:TOKEN}"),
        ("a $${x} ${env:TOKEN}", "a ${x} t0"),
        ("5 $ and $$ and {x}", "5 $ and $$ and {x}"),
        ("${env:TRAP}", "${env:TOKEN}"),
    ] {
        assert_eq!(resolved(&SecretText::parse(text).unwrap(), &variables).unwrap(), expected, "{text}");
    }
    assert_eq!(resolved(&SecretText::literal("${env:TOKEN}"), &variables).unwrap(), "${env:TOKEN}");
}

#[test]
fn broken_references_are_refused_with_their_fix_and_nothing_is_read() {
    for (text, message, fix) in [
        ("a ${env:X", "never closed", "close it with `}`"),
        ("${HOME}/x", "`${HOME}` is not a reference", "`${env:HOME}`"),
        ("${input:key}", "`${input:key}` is not a reference", "`${credential:name}`"),
        ("${env:}", "`${env:}` names nothing", "after the colon"),
        ("${credential:../shadow}", "without `/`", "LoadCredential="),
        ("${credential:..}", "without `/`", "LoadCredential="),
        ("${env:A=B}", "cannot be the name", "without `=`"),
        ("${}", "`${}` is not a reference", "`$${}`"),
    ] {
        let error = SecretText::parse(text).unwrap_err();
        assert!(error.to_string().contains(message), "{text}: {error}");
        assert!(error.fix().contains(fix), "{text}: {}", error.fix());
    }
}

#[test]
fn files_and_credentials_lose_one_newline_and_no_more() {
    let directory = tempfile::tempdir().unwrap();
    for (name, content) in [("one", "s\n"), ("two", "s\n\n"), ("none", "s"), ("windows", "s\r\n")] {
        fs::write(directory.path().join(name), content).unwrap();
    }
    let credentials = directory.path().to_str().unwrap();
    let variables = [("CREDENTIALS_DIRECTORY", credentials)];
    for (name, expected) in [("one", "s"), ("two", "s\n"), ("none", "s"), ("windows", "s")] {
        let relative = SecretText::parse_in(&format!("${{file:{name}}}"), directory.path()).unwrap();
        assert_eq!(resolved(&relative, &[]).unwrap(), expected);
        let absolute = SecretText::parse(&format!("${{file:{credentials}/{name}}}")).unwrap();
        assert_eq!(resolved(&absolute, &[]).unwrap(), expected);
        let credential = SecretText::parse(&format!("${{credential:{name}}}")).unwrap();
        assert_eq!(resolved(&credential, &variables).unwrap(), expected);
    }
}

#[test]
fn what_cannot_be_read_names_the_reference_and_never_another_value() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("binary"), [0xff, 0x00]).unwrap();
    let credentials = directory.path().to_str().unwrap();
    let variables = [("CREDENTIALS_DIRECTORY", credentials), ("OTHER", "hunter2")];
    let failure = |text: &str, variables: &[(&str, &str)]| {
        resolved(&SecretText::parse(text).unwrap(), variables).unwrap_err().to_string()
    };
    assert_eq!(failure("${env:OTHER}${env:GONE}", &variables), "environment variable `GONE` is not set");
    assert!(
        failure("${credential:gone}", &variables).contains("credential `gone` cannot be read: No such file")
    );
    assert!(failure("${credential:x}", &[]).contains("CREDENTIALS_DIRECTORY is not set"));
    assert!(failure("${file:/gone/secret}", &[]).contains("`/gone/secret` cannot be read: No such file"));
    assert!(failure("${credential:binary}", &variables).contains("not UTF-8"));
}

#[test]
fn debug_shows_templates_and_never_plain_text() {
    let template = SecretText::parse("Bearer ${env:TOKEN} $${x}").unwrap();
    assert_eq!(format!("{template:?}"), "Bearer ${env:TOKEN} $${x}");
    assert!(template.is_secret());
    assert_eq!(template.environment_names().collect::<Vec<_>>(), ["TOKEN"]);
    for plain in [SecretText::parse("hunter2").unwrap(), SecretText::literal("hunter2")] {
        assert_eq!(format!("{plain:?}"), "[redacted]");
        assert!(!plain.is_secret());
        assert_eq!(plain.as_literal(), Some("hunter2"));
    }
    assert_eq!(template.as_literal(), None);
    let secret = template.resolve_with(&|_| Some("x".into())).unwrap();
    assert!(!format!("{secret:?}").contains("Bearer"));
}
