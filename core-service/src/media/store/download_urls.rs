//! Pre-signed URLs, from which clients download the objects of a bucket without this process.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use http::Method;
use object_store::{path::Path, signer::Signer};
use triptych_proto::v1 as pb;
use url::Url;

use super::{
    index::REUSE_WINDOW,
    object::{object_error, object_path},
};
use crate::{error::Error, media::key::MediaKey};

/// How long a URL works. Creating one counts as a use of the file, which the sweeper leaves in place for as long.
const VALIDITY: Duration = REUSE_WINDOW;

/// Signs the URLs of the objects in a directory of a bucket.
#[derive(Debug, Clone)]
pub(super) struct UrlSigner {
    signer: Arc<dyn Signer>,
    directory: Path,
}

impl UrlSigner {
    /// Creates a signer for the objects below `directory`, the root of the bucket if that is empty.
    pub(super) fn new(signer: Arc<dyn Signer>, directory: Path) -> Self {
        Self { signer, directory }
    }

    /// Returns a URL of the object, whether it exists or not.
    ///
    /// # Errors
    /// [`Error::Storage`] if no credentials are there, or not of a kind that can sign.
    pub(super) async fn sign(&self, key: &MediaKey) -> Result<pb::DownloadUrl, Error> {
        let expire_time = SystemTime::now() + VALIDITY;
        let url = self.signed_url(&object_path(key)).await.map_err(|error| object_error(key, &error))?;
        Ok(pb::DownloadUrl { url: url.into(), expire_time: Some(expire_time.into()) })
    }

    /// Checks that the credentials can sign.
    pub(super) async fn check(&self) -> object_store::Result<()> {
        self.signed_url(&Path::from("check")).await.map(drop)
    }

    async fn signed_url(&self, object: &Path) -> object_store::Result<Url> {
        let path = self.directory.parts().chain(object.parts()).collect();
        self.signer.signed_url(Method::GET, &path, VALIDITY).await
    }
}
