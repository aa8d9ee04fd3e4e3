//! Requests to Vertex AI and downloads from Cloud Storage, with the access token of the service account.

use bytes::Bytes;
use http::{Method, StatusCode, header};
use url::Url;

use super::{
    super::common::exchange::{Content, Response, exchange_with_headers, path_segment},
    token::{Token, Tokens},
};
use crate::{
    call::Chunks,
    context::RequestContext,
    error::ProviderError,
    media::{Downloader, TrustedOrigin},
    offload::on_blocking_thread,
    upstream::Upstream,
};

/// The length in bytes from which a response is searched for the token on a blocking thread.
const LONG_TEXT: usize = 256 << 10;

/// Sends requests with the access token of the service account. Retries a request once, with a new token, after a 401: the API
/// has not executed it.
#[derive(Debug)]
pub(super) struct Api {
    tokens: Tokens,
    downloads: Downloader,
    max_file_bytes: u64,
}

impl Api {
    pub(super) fn new(tokens: Tokens, downloads: Downloader, max_file_bytes: u64) -> Self {
        Self { tokens, downloads, max_file_bytes }
    }

    /// Sends a request, and returns its complete response, in whose body the token is replaced by `***`. `body` is JSON.
    pub(super) async fn exchange(
        &self,
        upstream: &Upstream,
        method: Method,
        path: &str,
        body: Option<Bytes>,
        context: &RequestContext,
    ) -> Result<Response, ProviderError> {
        let send = async |token: &Token| {
            let message = body.clone().map(Content::json);
            let sent = exchange_with_headers(upstream, method.clone(), path, message, token.headers(), context).await;
            without_token(sent?, token.clone()).await
        };
        let token = self.tokens.get(context).await?;
        let response = send(&token).await?;
        if response.status != StatusCode::UNAUTHORIZED {
            return Ok(response);
        }
        self.tokens.forget(&token).await;
        send(&self.tokens.get(context).await?).await
    }

    /// Downloads the file behind a link. The token is sent to the origin of `base` only.
    pub(super) async fn download(
        &self,
        link: &str,
        base: &Url,
        context: &RequestContext,
    ) -> Result<Chunks<Bytes>, ProviderError> {
        let download = async |token: &Token| {
            let mut origin = TrustedOrigin::new(base.clone());
            if let Some(value) = token.header_value() {
                origin = origin.with_api_key(header::AUTHORIZATION, value);
            }
            self.downloads.clip(link, &origin.for_call(context), self.max_file_bytes).await
        };
        let token = self.tokens.get(context).await?;
        match download(&token).await {
            Err(ProviderError::Credentials(_)) => {}
            result => return result,
        }
        self.tokens.forget(&token).await;
        download(&self.tokens.get(context).await?).await
    }
}

/// Replaces the token in the body of a response that quotes it.
async fn without_token(mut response: Response, token: Token) -> Result<Response, ProviderError> {
    let body = response.body.clone();
    let removed = if body.len() < LONG_TEXT {
        token.removed_from(&body)
    } else {
        // The body may contain the whole video.
        on_blocking_thread(move || Ok(token.removed_from(&body))).await?
    };
    if let Some(body) = removed {
        response.body = body.into();
    }
    Ok(response)
}

/// Returns the link to the content of an object in Cloud Storage, `gs://BUCKET/OBJECT`, relative to the base URL of Cloud
/// Storage's JSON API. `None` for another URI.
pub(super) fn storage_link(uri: &str) -> Option<String> {
    let (bucket, object) = uri.strip_prefix("gs://")?.split_once('/')?;
    let is_complete = !bucket.is_empty() && !object.is_empty();
    is_complete.then(|| format!("storage/v1/b/{}/o/{}?alt=media", path_segment(bucket), path_segment(object)))
}

#[cfg(test)]
mod tests {
    use super::storage_link;

    #[test]
    fn link_to_an_object_in_storage_has_its_name_as_one_segment() {
        let link = storage_link("gs://bucket-1/videos/17/sample 0.mp4");
        assert_eq!(link.as_deref(), Some("storage/v1/b/bucket-1/o/videos%2F17%2Fsample%200.mp4?alt=media"));
        for other in ["gs://bucket-1", "gs://bucket-1/", "gs:///a", "https://storage.test/a"] {
            assert_eq!(storage_link(other), None, "{other}");
        }
    }
}
