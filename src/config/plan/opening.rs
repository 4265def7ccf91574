//! Reloads that would open to everyone what needs an API key now. They are refused: a file that was written half, or a
//! slip in it, looks the same as the wish to have it so, and a restart makes the wish plain.

use super::super::auth::{AuthConfig, RightsConfig};

/// The access that `wanted` would open and `running` does not, as a sentence.
pub(super) fn refusal(running: &AuthConfig, wanted: &AuthConfig) -> Option<&'static str> {
    if running.is_open() {
        return None;
    }
    if wanted.is_open() {
        return Some(
            "it would remove the last API key or issuer, and leave every tool open to anyone who reaches the port; keep a key, or \
             restart the gateway to open it",
        );
    }
    // Another `strictAuth` says in plain words what is wanted.
    let opens = hides_documents(running) && !hides_documents(wanted) && running.strict == wanted.strict;
    opens.then_some(
        "without a limited API key it would show all documents to callers without a key; set `strictAuth`, or restart the \
         gateway to open them",
    )
}

/// Whether documents and pages need a key: in strict mode, or when some key does not see everything.
fn hides_documents(auth: &AuthConfig) -> bool {
    let is_limited = |rights: &RightsConfig| {
        rights.servers.is_some() || rights.tools.is_some() || rights.profile.is_some() || rights.read_only
    };
    auth.strict || auth.rights().any(is_limited)
}

#[cfg(test)]
mod tests {
    use std::slice;

    use super::*;
    use crate::config::{ApiKeyConfig, SecretText};

    fn key(name: &str, servers: Option<&str>) -> ApiKeyConfig {
        let servers = servers.map(|server| vec![server.to_owned()]);
        let rights = RightsConfig { servers, ..RightsConfig::default() };
        ApiKeyConfig { rights, ..ApiKeyConfig::new(name, SecretText::literal(name)) }
    }

    fn auth(keys: &[ApiKeyConfig], strict: bool) -> AuthConfig {
        AuthConfig { keys: keys.to_vec(), strict, ..AuthConfig::default() }
    }

    #[test]
    fn only_what_would_be_open_to_everyone_is_refused() {
        let (all, limited) = (key("all", None), key("limited", Some("a")));
        for (running, wanted, said) in [
            (auth(slice::from_ref(&all), false), auth(&[], false), Some("the last API key")),
            (auth(slice::from_ref(&all), true), auth(&[], true), Some("the last API key")),
            (
                auth(&[limited.clone(), all.clone()], false),
                auth(slice::from_ref(&all), false),
                Some("show all documents"),
            ),
            (auth(&[limited.clone(), all.clone()], true), auth(slice::from_ref(&all), true), None),
            (auth(slice::from_ref(&limited), false), auth(&[key("limited", Some("b"))], false), None),
            (auth(slice::from_ref(&all), true), auth(slice::from_ref(&all), false), None),
            (auth(slice::from_ref(&all), false), auth(&[key("other", None)], false), None),
            (auth(&[], false), auth(&[all], false), None),
            (auth(&[], false), auth(&[], false), None),
        ] {
            let refused = refusal(&running, &wanted);
            assert_eq!(refused.is_some(), said.is_some(), "{running:?} {wanted:?}");
            assert!(
                said.is_none_or(|said| refused.is_some_and(|refused| refused.contains(said))),
                "{refused:?}"
            );
        }
    }
}
