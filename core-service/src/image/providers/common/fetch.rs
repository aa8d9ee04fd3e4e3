//! Turns an image in an upstream's response into the final event of that image; downloads the image if the upstream returned a link.

use bytes::Bytes;

use super::image_list::{ImageSource, UpstreamImage};
use crate::{
    context::RequestContext,
    error::ProviderError,
    image::ImageEvent,
    media::{Downloader, TrustedOrigin},
    upstream::Upstream,
};

/// Obtains the bytes of images that an upstream returned. Clones share the connections.
#[derive(Debug, Clone)]
pub(in crate::image::providers) struct ImageFetcher {
    upstream: Upstream,
    downloads: Downloader,
    /// The upstream's own origin and the credentials for it, if any. Relative links are resolved against it.
    origin: TrustedOrigin,
}

impl ImageFetcher {
    pub(in crate::image::providers) fn new(upstream: Upstream, downloads: Downloader, origin: TrustedOrigin) -> Self {
        Self { upstream, downloads, origin }
    }

    /// Returns the fetcher for one call: the upstream gets the request id and the trace context with downloads from its own
    /// origin.
    pub(in crate::image::providers) fn for_call(&self, context: &RequestContext) -> Self {
        Self { origin: self.origin.for_call(context), ..self.clone() }
    }

    /// Returns the final event of the image with this index. A link is downloaded.
    pub(in crate::image::providers) async fn event(&self, index: u32, image: UpstreamImage) -> ImageEvent {
        let UpstreamImage { source, revised_prompt } = image;
        let picture = match source {
            Ok(ImageSource::Bytes(bytes)) => Ok(bytes),
            Ok(ImageSource::Link(link)) => self.download(&link).await,
            Err(error) => Err(self.upstream.redacted(error)),
        };
        match picture {
            Ok(picture) => ImageEvent::Finished { index, picture, revised_prompt },
            Err(error) => ImageEvent::Failed { index, error },
        }
    }

    /// Downloads the image behind a link.
    pub(in crate::image::providers) async fn download(&self, link: &str) -> Result<Bytes, ProviderError> {
        self.downloads.picture(link, &self.origin).await.map(|file| file.bytes)
    }
}
