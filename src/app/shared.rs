//! Opens the store that replicas share, before anything is served.

use std::sync::Arc;

use secrecy::ExposeSecret as _;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::error::AppError;
use crate::config::SharedConfig;
use crate::shared_store::{AddressSource, SharedStore, StoreAddress};

/// The store of `config`, kept connected until `stop`. A store that is away is no reason not to start.
///
/// # Errors
///
/// When a secret of its address cannot be read, or the address has a flaw.
pub async fn open(
    config: Option<&SharedConfig>,
    tasks: &TaskTracker,
    stop: CancellationToken,
) -> Result<Option<Arc<SharedStore>>, AppError> {
    let Some(config) = config else { return Ok(None) };
    let read = Arc::new(config.reader());
    let address = move || {
        let read = read.clone();
        async move {
            let text = read().await.map_err(|error| error.to_string())?;
            StoreAddress::parse(text.expose_secret())
        }
    };
    address().await.map_err(AppError::Shared)?;
    let source: AddressSource = Box::new(move || Box::pin(address()));
    let opened = SharedStore::open(source, &config.prefix, stop).await;
    let (store, keeping) = opened.map_err(|error| AppError::Shared(error.to_string()))?;
    tasks.spawn(keeping);
    Ok(Some(store))
}
