use std::pin::pin;
use std::sync::atomic::AtomicBool;
use std::task::{Context, Wake, Waker};

use super::super::vaults::Vaults;
use super::*;
use crate::config::SecretText;

fn vault(directory: &Path, url: &str) -> Vault {
    let http = HttpConfig { url: SecretText::literal(url), headers: Vec::new(), oauth: None };
    Vault::new(Some(directory), &ServerName::new("s").unwrap(), &http, Turn::default())
}

fn credentials(token: &str) -> StoredCredentials {
    let answer = serde_json::json!({ "access_token": token, "token_type": "bearer", "refresh_token": "r" });
    StoredCredentials::new("c".into(), serde_json::from_value(answer).unwrap(), Vec::new(), Some(0))
}

/// Looks into the record in the very moment that it hears of another token.
struct Look {
    vault: Arc<Vault>,
    heard: AtomicBool,
    found_none: AtomicBool,
}

impl Wake for Look {
    fn wake(self: Arc<Self>) {
        self.heard.store(true, Ordering::Relaxed);
        // A record that is locked now is waited for.
        if self.vault.record.try_lock().is_ok_and(|record| record.credentials.is_none()) {
            self.found_none.store(true, Ordering::Relaxed);
        }
    }
}

#[tokio::test]
async fn whoever_hears_of_the_first_token_finds_that_it_can_be_renewed() {
    let folder = tempfile::tempdir().unwrap();
    let vault = Arc::new(vault(folder.path(), "https://a.test/mcp"));
    let mut duty = vault.renew_ahead();
    let (heard, found_none) = (AtomicBool::new(false), AtomicBool::new(false));
    let look = Arc::new(Look { vault: vault.clone(), heard, found_none });
    let waker = Waker::from(look.clone());
    let mut changed = pin!(duty.changed());
    assert!(changed.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    vault.keep(credentials("one"), None).await;
    assert!(look.heard.load(Ordering::Relaxed) && vault.can_refresh());
    assert!(!look.found_none.load(Ordering::Relaxed), "the token is told before it is kept");
}

#[tokio::test]
async fn the_duty_to_renew_goes_to_whoever_takes_it_last_and_both_hear_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let vault = vault(folder.path(), "https://a.test/mcp");
    let mut old = vault.renew_ahead();
    assert!(old.is_mine());
    let mut new = vault.renew_ahead();
    old.changed().await;
    assert_eq!([old.is_mine(), new.is_mine()], [false, true]);
    vault.keep(credentials("one"), None).await;
    old.changed().await;
    new.changed().await;
}

#[tokio::test]
async fn tokens_that_came_meanwhile_are_not_forgotten_with_those_that_were_refused() {
    let folder = tempfile::tempdir().unwrap();
    let vault = vault(folder.path(), "https://a.test/mcp");
    vault.keep(credentials("one"), None).await;
    let used = vault.token().clone();
    vault.keep(credentials("two"), None).await;
    assert!(!vault.forget(used.as_deref(), true).await && vault.has_tokens());
    let used = vault.token().clone();
    assert!(vault.forget(used.as_deref(), true).await && !vault.has_tokens());
}

#[tokio::test]
async fn one_sign_in_has_one_vault_and_the_file_is_that_of_the_newest_entry() {
    let folder = tempfile::tempdir().unwrap();
    let vaults = Vaults::default();
    let of = |url: &str| vaults.shared(vault(folder.path(), url));
    let old = of("https://a.test/mcp");
    assert!(Arc::ptr_eq(&old, &of("https://a.test/mcp")));
    let new = of("https://b.test/mcp");
    assert!(!Arc::ptr_eq(&old, &new));
    let keep = async |vault: &Vault, token: &str| {
        vault.keep(credentials(token), None).await;
        let kept: serde_json::Value =
            serde_json::from_slice(&std::fs::read(vault.file.as_ref().unwrap()).unwrap()).unwrap();
        kept["credentials"]["token_response"]["access_token"].as_str().unwrap().to_owned()
    };
    // Until the new one has something to keep the file is the old one's, for the next start.
    assert_eq!(keep(&old, "old").await, "old");
    assert_eq!(keep(&new, "new").await, "new");
    assert_eq!(keep(&old, "old again").await, "new");
    let back = of("https://a.test/mcp");
    assert!(Arc::ptr_eq(&old, &back));
    assert_eq!(keep(&back, "back").await, "back");
    assert_eq!(keep(&new, "new again").await, "back");
}
