//! From one grid of four to single pictures, with previews of both on the way.

use std::{ops::Range, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::{
    FutureExt, StreamExt,
    future::join_all,
    stream::{self, Stream},
};
use image::DynamicImage;
use serde_json::json;
use tokio::{
    sync::{
        OnceCell,
        mpsc::{UnboundedSender, unbounded_channel},
    },
    time::timeout,
};
use tokio_stream::wrappers::UnboundedReceiverStream;

use super::{
    super::{
        super::{ImageEvent, ImageSpec},
        reading::offloaded,
        tasks::Watch,
    },
    answer::Task,
    prompt,
    proxy::Proxy,
    quadrant::{opened, quadrant},
};
use crate::{
    config::MidjourneySingles,
    error::ProviderError,
    media::{Downloader, TrustedOrigin},
};

/// What a preview may take: the next look waits for it.
const PREVIEW: Duration = Duration::from_secs(10);
/// How many pictures a grid has.
pub(super) const PLACES: u32 = 4;

/// A grid to be made, and the pictures to be taken from it.
pub(super) struct Grid {
    pub(super) proxy: Proxy,
    pub(super) spec: Arc<ImageSpec>,
    /// The pictures of the request that come from this grid, up to four.
    pub(super) pictures: Range<u32>,
    pub(super) prompt: String,
    pub(super) singles: MidjourneySingles,
    pub(super) downloads: Downloader,
    /// Who may see the secret when a link is followed.
    pub(super) own: TrustedOrigin,
}

/// A grid that is made.
struct Made {
    task: Task,
    id: String,
    /// Its pixels, once somebody needed them.
    pixels: OnceCell<Arc<DynamicImage>>,
}

impl Grid {
    /// The events of its pictures. Whatever goes wrong, each gets its own.
    pub(super) fn events(self) -> impl Stream<Item = ImageEvent> + Send + 'static {
        let (tell, told) = unbounded_channel();
        let work = async move { self.make(&tell).await };
        let work = work.into_stream().map(|()| None);
        stream::select(UnboundedReceiverStream::new(told).map(Some), work).filter_map(std::future::ready)
    }

    async fn make(self, tell: &UnboundedSender<ImageEvent>) {
        // Nobody listens any more where telling fails; then the stream, and this with it, is about to be dropped.
        match self.grid(tell).await {
            Ok(made) => {
                let singles = self.pictures.clone().map(|index| self.single(index, &made));
                join_all(singles.map(|single| single.map(|event| drop(tell.send(event))))).await;
            }
            Err(error) => {
                for index in self.pictures.clone() {
                    let _ = tell.send(ImageEvent::Failed { index, error: error.clone() });
                }
            }
        }
    }

    async fn grid(&self, tell: &UnboundedSender<ImageEvent>) -> Result<Made, ProviderError> {
        let (spec, asked) = (Arc::clone(&self.spec), self.prompt.clone());
        let body = offloaded(move || Ok(prompt::imagine(&spec, &asked))).await?;
        let mut watch = self.proxy.submit("submit/imagine", body).await?;
        let (mut shown, mut partial, mut asked) = (String::new(), 0, false);
        loop {
            let (task, done) = watch.next::<Task>().await?;
            if done {
                return Ok(Made { task, id: watch.id.clone(), pixels: OnceCell::new() });
            }
            if task.asks() && !asked {
                asked = true;
                self.answer(&watch).await?;
            }
            if partial < self.spec.partial_images
                && let Some(link) = task.link().filter(|link| *link != shown)
            {
                link.clone_into(&mut shown);
                // One that does not come is only a preview.
                if let Ok(Ok(picture)) = timeout(PREVIEW, self.downloads.picture(link, &self.own)).await {
                    self.preview(picture.bytes, partial, tell).await;
                    partial += 1;
                }
            }
        }
    }

    /// Confirms a dialogue, which shows the prompt and waits for it to be sent.
    async fn answer(&self, watch: &Watch) -> Result<(), ProviderError> {
        let body = json!({"taskId": watch.id, "prompt": self.prompt}).to_string();
        self.proxy.submit("submit/modal", body).await?.let_go();
        Ok(())
    }

    /// Each picture's part of what the grid looks like so far.
    async fn preview(&self, grid: Bytes, partial: u32, tell: &UnboundedSender<ImageEvent>) {
        let places = 0..self.pictures.end - self.pictures.start;
        let parts = offloaded(move || {
            let grid = opened(&grid)?;
            places.map(|place| quadrant(&grid, place)).collect::<Result<Vec<_>, _>>()
        });
        for (index, picture) in self.pictures.clone().zip(parts.await.unwrap_or_default()) {
            let _ = tell.send(ImageEvent::Preview { index, partial, picture });
        }
    }

    async fn single(&self, index: u32, made: &Made) -> ImageEvent {
        let place = index - self.pictures.start;
        let prompt = made.task.revised(&self.prompt).unwrap_or_default();
        match self.picture(place, made).await {
            Ok(picture) => ImageEvent::Finished { index, picture, revised_prompt: prompt },
            Err(error) => ImageEvent::Failed { index, error },
        }
    }

    async fn picture(&self, place: u32, made: &Made) -> Result<Bytes, ProviderError> {
        let alone = match (made.task.singles(), self.singles) {
            (Some(links), _) => self.download(links.into_iter().nth(place as usize)).await,
            (None, MidjourneySingles::Upscale) => self.upscale(place, made).await,
            (None, MidjourneySingles::Cut) => return self.cut(place, made).await,
        };
        match alone {
            Err(error @ (ProviderError::ContentPolicy(_) | ProviderError::Credentials(_))) => Err(error),
            // The grid is paid for, and holds the same picture.
            Err(error) => {
                tracing::info!(%error, "a picture that cannot be had alone is cut from its grid");
                self.cut(place, made).await.map_err(|_| error)
            }
            picture => picture,
        }
    }

    async fn upscale(&self, place: u32, made: &Made) -> Result<Bytes, ProviderError> {
        let (path, body) = match made.task.button(place) {
            Some(button) => ("submit/action", json!({"taskId": made.id, "customId": button})),
            None if made.task.has_buttons() => {
                return Err(ProviderError::Unreadable("the grid has no button for one of its pictures".to_owned()));
            }
            None => ("submit/change", json!({"taskId": made.id, "action": "UPSCALE", "index": place + 1})),
        };
        let mut watch = self.proxy.submit(path, body.to_string()).await?;
        loop {
            let (task, done) = watch.next::<Task>().await?;
            if done {
                return self.download(task.link()).await;
            }
            if task.asks() {
                return Err(ProviderError::Unreadable("the proxy asks about a picture of its own grid".to_owned()));
            }
        }
    }

    async fn cut(&self, place: u32, made: &Made) -> Result<Bytes, ProviderError> {
        let pixels = made.pixels.get_or_try_init(|| async {
            let file = self.download(made.task.link()).await?;
            offloaded(move || opened(&file).map(Arc::new)).await
        });
        let pixels = Arc::clone(pixels.await?);
        offloaded(move || quadrant(&pixels, place)).await
    }

    async fn download(&self, link: Option<&str>) -> Result<Bytes, ProviderError> {
        let link = link.ok_or_else(|| ProviderError::Unreadable("the finished task has no picture".to_owned()))?;
        self.downloads.picture(link, &self.own).await.map(|file| file.bytes)
    }
}
