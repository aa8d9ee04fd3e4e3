//! Clients of the buckets that media files can be stored in: Amazon S3, Google Cloud Storage, Azure Blob Storage.
//!
//! Credentials, regions and endpoints come from the environment, by the names that the tools of the vendors use: for S3, for example,
//! `AWS_ACCESS_KEY_ID`, `AWS_REGION` and `AWS_ENDPOINT_URL`; without keys, web identity tokens, container credentials and the role of
//! the instance.

use std::{fmt::Display, sync::Arc, time::Duration};

use futures_util::StreamExt;
use object_store::{
    ClientConfigKey, ObjectStore, RetryConfig,
    aws::{AmazonS3Builder, AmazonS3ConfigKey},
    azure::{AzureConfigKey, MicrosoftAzureBuilder},
    gcp::{GoogleCloudStorageBuilder, GoogleConfigKey},
    path::Path,
    prefix::PrefixStore,
    signer::Signer,
};
use tokio::time::timeout;

use super::download_urls::UrlSigner;
use crate::{
    error::Error,
    media_location::{Bucket, Service},
};

/// The limits on a request to a bucket: for its connection, between two reads of its response, and for all of it. The last one must
/// suffice for the largest file.
const CLIENT_LIMITS: [(ClientConfigKey, &str); 3] =
    [(ClientConfigKey::ConnectTimeout, "5s"), (ClientConfigKey::ReadTimeout, "30s"), (ClientConfigKey::Timeout, "1h")];

/// How often a failed request is repeated, and for how long: a caller waits meanwhile.
const MAX_RETRIES: usize = 5;
const RETRY_TIMEOUT: Duration = Duration::from_secs(20);

/// How long the check of a bucket at start may take.
const CHECK_TIMEOUT: Duration = Duration::from_secs(30);

/// A client of a bucket, as the store and as the signer of its URLs.
struct Client {
    objects: Arc<dyn ObjectStore>,
    signer: Arc<dyn Signer>,
}

impl Client {
    fn new<C: ObjectStore + Signer>(client: C) -> Self {
        let client = Arc::new(client);
        Self { objects: Arc::clone(&client) as _, signer: client }
    }
}

/// Opens a bucket with the credentials of the environment, and checks that it can be listed. Also returns the signer of URLs for clients
/// that download from the bucket itself, if they do, after a check that the credentials can sign.
///
/// # Errors
/// [`Error::Storage`], which names the setting.
pub(super) async fn open(bucket: &Bucket) -> Result<(Arc<dyn ObjectStore>, Option<UrlSigner>), Error> {
    let failed = |error: &dyn Display| Error::Storage(format!("media.url = \"{}\": {error}", bucket.url));
    let Client { mut objects, signer } = client(bucket).map_err(|error| failed(&error))?;
    let directory = Path::from_url_path(bucket.url.path().trim_matches('/')).map_err(|error| failed(&error))?;
    if !directory.is_root() {
        objects = Arc::new(PrefixStore::new(objects, directory.clone()));
    }
    // Wrong names and credentials are found here, and not by the first client.
    let listed = timeout(CHECK_TIMEOUT, objects.list(None).next()).await;
    if let Some(Err(error)) = listed.map_err(|_| failed(&"the bucket did not answer"))? {
        return Err(failed(&error));
    }
    if bucket.direct_downloads.is_none() {
        return Ok((objects, None));
    }
    let signer = UrlSigner::new(signer, directory);
    let checked = timeout(CHECK_TIMEOUT, signer.check()).await;
    match checked.map_err(|_| failed(&"a URL could not be signed in time"))? {
        Ok(()) => Ok((objects, Some(signer))),
        Err(error) => Err(Error::Storage(format!("media.downloads = \"redirect\": a URL cannot be signed: {error}"))),
    }
}

fn client(bucket: &Bucket) -> object_store::Result<Client> {
    let retry = RetryConfig { max_retries: MAX_RETRIES, retry_timeout: RETRY_TIMEOUT, ..RetryConfig::default() };
    // A plain HTTP endpoint was named by the operator, for a server in the same network.
    let is_plain = |endpoint: Option<String>| endpoint.is_some_and(|endpoint| endpoint.starts_with("http:"));
    Ok(match bucket.service {
        Service::S3 => {
            let mut builder = AmazonS3Builder::from_env().with_url(bucket.url.as_str()).with_retry(retry);
            for (key, value) in CLIENT_LIMITS {
                builder = builder.with_config(AmazonS3ConfigKey::Client(key), value);
            }
            let endpoints = [AmazonS3ConfigKey::S3Endpoint, AmazonS3ConfigKey::Endpoint];
            if endpoints.iter().any(|key| is_plain(builder.get_config_value(key))) {
                builder = builder.with_allow_http(true);
            }
            let client = Client::new(builder.clone().build()?);
            match bucket.direct_downloads.as_ref().and_then(|downloads| downloads.endpoint.as_ref()) {
                // Signatures cover the host, so URLs for clients need a signer of the endpoint that clients use.
                Some(endpoint) => {
                    let endpoint = endpoint.as_str().trim_end_matches('/');
                    let builder = builder.with_config(AmazonS3ConfigKey::S3Endpoint, endpoint).with_allow_http(true);
                    Client { signer: Arc::new(builder.build()?), ..client }
                }
                None => client,
            }
        }
        Service::Google => {
            let mut builder = GoogleCloudStorageBuilder::from_env().with_url(bucket.url.as_str()).with_retry(retry);
            for (key, value) in CLIENT_LIMITS {
                builder = builder.with_config(GoogleConfigKey::Client(key), value);
            }
            Client::new(builder.build()?)
        }
        Service::Azure => {
            let mut builder = MicrosoftAzureBuilder::from_env().with_url(bucket.url.as_str()).with_retry(retry);
            for (key, value) in CLIENT_LIMITS {
                builder = builder.with_config(AzureConfigKey::Client(key), value);
            }
            if is_plain(builder.get_config_value(&AzureConfigKey::Endpoint)) {
                builder = builder.with_allow_http(true);
            }
            Client::new(builder.build()?)
        }
    })
}
