//! Helpers for tests that need a media store.

use std::{
    path::Path,
    sync::{Arc, mpsc},
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use http::Method;
use object_store::signer::Signer;
use url::Url;

use super::{MediaStore, UrlSigner};
use crate::{database::Database, media::key::MediaKey};

impl MediaStore {
    /// Opens a store with its files in `root/media` and its index in `root/media.sqlite`.
    ///
    /// Not async, and on a runtime of its own: in a test with a paused clock, sqlx's connection timeout would fire at once.
    pub(crate) fn for_test(root: &Path) -> Self {
        let root = root.to_owned();
        let open = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let database = Database::open(&root.join("media.sqlite")).await.unwrap();
                Self::local(&root.join("media"), database).await.unwrap()
            })
        };
        std::thread::spawn(open).join().unwrap()
    }

    /// Returns the store with pre-signed download URLs, as if its files were in this directory of a bucket.
    pub(crate) fn with_signed_urls(&self, directory: &str) -> Self {
        Self { signer: Some(UrlSigner::new(Arc::new(FakeSigner), directory.into())), ..self.clone() }
    }

    /// Sets the time of the last use of a file, and removes its pin.
    pub(crate) async fn set_last_used(&self, key: &MediaKey, at: SystemTime) {
        self.index.set_last_used(key, at).await;
    }
}

/// Puts the method and the validity in seconds into the query of a URL, in place of a signature.
#[derive(Debug)]
struct FakeSigner;

#[async_trait]
impl Signer for FakeSigner {
    async fn signed_url(
        &self,
        method: Method,
        path: &object_store::path::Path,
        expires_in: Duration,
    ) -> object_store::Result<Url> {
        Ok(Url::parse(&format!("https://bucket.test/{path}?{method}={}", expires_in.as_secs())).unwrap())
    }
}

/// Keeps a paused test clock from advancing by itself until the returned value is dropped.
///
/// tokio advances a paused clock to the next timer whenever its runtime is idle. While SQLite's thread executes a statement
/// the runtime is idle too, so every timeout around a statement would fire. A running blocking task prevents this.
pub(super) fn stop_auto_advance() -> mpsc::Sender<()> {
    let (running, stopped) = mpsc::channel();
    tokio::task::spawn_blocking(move || {
        let _: Result<(), _> = stopped.recv();
    });
    running
}
