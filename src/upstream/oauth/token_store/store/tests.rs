use std::pin::pin;
use std::sync::atomic::AtomicBool;
use std::task::{Context, Wake, Waker};

use tokio_util::sync::CancellationToken;

use super::*;
use crate::config::SecretText;
use crate::seal::SealSecrets;
use crate::shared_store::SharedStore;
use crate::upstream::oauth::token_store::registry::TokenStores;

fn store(directory: &Path, url: &str) -> TokenStore {
    store_of(directory, url, None)
}

fn store_of(directory: &Path, url: &str, values: Option<&Arc<SealedValues>>) -> TokenStore {
    let http = HttpConfig {
        url: SecretText::literal(url),
        other_urls: Vec::new(),
        headers: Vec::new(),
        oauth: None,
    };
    TokenStore::new(Some(directory), &ServerName::new("s").unwrap(), None, &http, FileLock::default(), values)
}

fn credentials(token: &str) -> StoredCredentials {
    let answer = serde_json::json!({ "access_token": token, "token_type": "bearer", "refresh_token": "r" });
    StoredCredentials::new("c".into(), serde_json::from_value(answer).unwrap(), Vec::new(), Some(0))
}

/// Looks into the record in the very moment that it hears of another token.
struct Look {
    store: Arc<TokenStore>,
    heard: AtomicBool,
    found_none: AtomicBool,
}

impl Wake for Look {
    fn wake(self: Arc<Self>) {
        self.heard.store(true, Ordering::Relaxed);
        // A record that is locked now is waited for.
        if self.store.record.try_lock().is_ok_and(|record| record.credentials.is_none()) {
            self.found_none.store(true, Ordering::Relaxed);
        }
    }
}

#[tokio::test]
async fn whoever_hears_of_the_first_token_finds_that_it_can_be_renewed() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(store(folder.path(), "https://a.test/mcp"));
    let mut lease = store.refresh_ahead();
    let (heard, found_none) = (AtomicBool::new(false), AtomicBool::new(false));
    let look = Arc::new(Look { store: store.clone(), heard, found_none });
    let waker = Waker::from(look.clone());
    let mut changed = pin!(lease.changed());
    assert!(changed.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    store.keep(credentials("one"), None).await;
    assert!(look.heard.load(Ordering::Relaxed) && store.can_refresh());
    assert!(!look.found_none.load(Ordering::Relaxed), "the token is told before it is kept");
}

#[tokio::test]
async fn the_duty_to_renew_goes_to_whoever_takes_it_last_and_both_hear_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path(), "https://a.test/mcp");
    let mut old = store.refresh_ahead();
    assert!(old.is_held());
    let mut new = store.refresh_ahead();
    old.changed().await;
    assert_eq!([old.is_held(), new.is_held()], [false, true]);
    store.keep(credentials("one"), None).await;
    old.changed().await;
    new.changed().await;
}

#[tokio::test]
async fn tokens_that_came_meanwhile_are_not_forgotten_with_those_that_were_refused() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path(), "https://a.test/mcp");
    store.keep(credentials("one"), None).await;
    let used = store.token().clone();
    store.keep(credentials("two"), None).await;
    assert!(!store.forget(used.as_deref(), true).await && store.has_tokens());
    let used = store.token().clone();
    assert!(store.forget(used.as_deref(), true).await && !store.has_tokens());
}

#[tokio::test]
async fn one_sign_in_has_one_vault_and_the_file_is_that_of_the_newest_entry() {
    let folder = tempfile::tempdir().unwrap();
    let stores = TokenStores::default();
    let of = |url: &str| stores.shared(store(folder.path(), url));
    let old = of("https://a.test/mcp");
    assert!(Arc::ptr_eq(&old, &of("https://a.test/mcp")));
    let new = of("https://b.test/mcp");
    assert!(!Arc::ptr_eq(&old, &new));
    let keep = async |store: &TokenStore, token: &str| {
        store.keep(credentials(token), None).await;
        let kept: serde_json::Value =
            serde_json::from_slice(&std::fs::read(&store.file.as_ref().unwrap().path).unwrap()).unwrap();
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

#[tokio::test]
async fn tokens_that_are_refused_while_the_shared_store_is_away_do_not_outdate_those_of_a_replica() {
    let folder = tempfile::tempdir().unwrap();
    let nowhere = || Box::pin(std::future::ready(Err("it is nowhere".to_owned()))) as _;
    let (away, _keeping) = SharedStore::open(Box::new(nowhere), "", CancellationToken::new()).await.unwrap();
    let values = Arc::new(SealedValues::new(&away, &SealSecrets::of_this_process().unwrap(), "tokens"));
    let [here, replica] = ["here", "there"].map(|folder_of| {
        let folder = folder.path().join(folder_of);
        std::fs::create_dir(&folder).unwrap();
        store_of(&folder, "https://a.test/mcp", Some(&values))
    });
    here.keep(credentials("one"), None).await;
    assert!(replica.take_up(lock(&here.record).clone()));
    replica.keep(credentials("two"), None).await;
    let refused = here.token().clone();
    assert!(here.forget(refused.as_deref(), false).await && !here.has_tokens());
    let renewed = lock(&replica.record).clone();
    assert!(here.take_up(renewed) && here.has_tokens());
}
