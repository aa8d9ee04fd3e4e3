//! The streamed response of a series, several related images that Seedream generates in one call: the images as they are finished,
//! then their usage.

use futures_util::{Stream, TryStreamExt, stream};
use tokio::time::Instant;

use super::{
    super::common::{
        event_stream::{self, EventStream},
        fetch::ImageFetcher,
    },
    response::{self, SeriesEvent},
};
use crate::{
    error::ProviderError,
    image::ImageEvent,
    upstream::{Upstream, UpstreamResponse},
};

/// A streamed response with several images.
pub(super) struct Series {
    upstream: Upstream,
    fetcher: ImageFetcher,
    stream: EventStream,
    /// Which images have arrived.
    received: Vec<bool>,
    /// The last image, withheld until the usage of all images has arrived: the reader of the events stops after the last image.
    last: Option<ImageEvent>,
    is_over: bool,
}

impl Series {
    pub(super) fn new(
        upstream: Upstream,
        fetcher: ImageFetcher,
        reply: UpstreamResponse,
        n: u32,
        deadline: Option<Instant>,
    ) -> Self {
        let stream = EventStream::new(reply, upstream.timeouts, deadline);
        let received = (0..n).map(|_| false).collect();
        Self { upstream, fetcher, stream, received, last: None, is_over: false }
    }

    pub(super) fn events(self) -> impl Stream<Item = Result<ImageEvent, ProviderError>> + Send {
        let events = stream::try_unfold(self, |mut series| async move {
            if series.is_over {
                return Ok(None);
            }
            let events = series.next().await?;
            Ok::<_, ProviderError>(Some((stream::iter(events.into_iter().map(Ok)), series)))
        });
        events.try_flatten()
    }

    /// Reads the next event of the upstream and returns the resulting events.
    async fn next(&mut self) -> Result<Vec<ImageEvent>, ProviderError> {
        let event = self.read().await.map_err(|error| self.upstream.redacted(error));
        let (index, image) = match event {
            Ok(SeriesEvent::Image { index, image }) => (index, image),
            Ok(SeriesEvent::Unknown) => return Ok(Vec::new()),
            Ok(SeriesEvent::Completed { usage }) => {
                self.is_over = true;
                let images = self.last.take().into_iter().chain(self.missing());
                return Ok(usage.map(ImageEvent::Usage).into_iter().chain(images).collect());
            }
            Err(error) => {
                self.is_over = true;
                // If all images have arrived, the error costs the usage only.
                return self.last.take().map(|last| vec![last]).ok_or(error);
            }
        };
        let index = index.or_else(|| self.received.iter().position(|received| !received)).unwrap_or(usize::MAX);
        // Ignores images that were not requested or have arrived before.
        match self.received.get_mut(index) {
            Some(received @ false) => *received = true,
            Some(true) | None => return Ok(Vec::new()),
        }
        let event = self.fetcher.event(u32::try_from(index).unwrap_or(u32::MAX), image).await;
        if self.received.contains(&false) {
            return Ok(vec![event]);
        }
        self.last = Some(event);
        Ok(Vec::new())
    }

    fn missing(&self) -> impl Iterator<Item = ImageEvent> {
        let received = self.received.clone();
        let count = received.iter().filter(|received| **received).count();
        (0..).zip(received).filter(|(_, received)| !received).map(move |(index, _)| missing(index, count))
    }

    /// Reads one event. A complete stream ends with an event that is understood, [`SeriesEvent::Completed`]; a stream that ends with
    /// any other text was truncated.
    async fn read(&mut self) -> Result<SeriesEvent, ProviderError> {
        let (event, is_last) = self.stream.next(response::parse_event).await?;
        if is_last && event == SeriesEvent::Unknown { Err(event_stream::truncated()) } else { Ok(event) }
    }
}

/// Returns the failure of an image that the series lacks: the model chooses the number of images.
pub(super) fn missing(index: u32, count: usize) -> ImageEvent {
    let message = format!("the model ended the series after {count} images");
    ImageEvent::Failed { index, error: ProviderError::Refused { message, field: None } }
}
