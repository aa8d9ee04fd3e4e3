//! The generation of a grid of four images, the result of a Midjourney task: previews, the finished grid, and the extraction of single
//! images.

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
    super::common::{fetch::ImageFetcher, tasks::TaskPoller},
    prompt,
    proxy::Proxy,
    quadrant::{decode_grid, quadrant},
    response::Task,
};
use crate::{
    config::MidjourneySingles,
    error::ProviderError,
    image::{ImageEvent, parameters::ImageParameters},
    offload::on_blocking_thread,
};

/// The timeout of downloading a preview, which delays the next poll.
const PREVIEW_TIMEOUT: Duration = Duration::from_secs(10);
/// The number of images in a grid.
pub(super) const IMAGES_PER_GRID: u32 = 4;

/// A grid to generate and the images to extract from it.
pub(super) struct Grid {
    pub(super) proxy: Proxy,
    pub(super) parameters: Arc<ImageParameters>,
    /// The indices of the request's images that come from this grid, up to four.
    pub(super) images: Range<u32>,
    pub(super) prompt: String,
    /// How the single images are obtained.
    pub(super) singles: MidjourneySingles,
    pub(super) fetcher: ImageFetcher,
}

/// A finished grid.
struct FinishedGrid {
    task: Task,
    id: String,
    /// The decoded grid; downloaded when the first image is cropped.
    pixels: OnceCell<Arc<DynamicImage>>,
}

impl Grid {
    /// Returns the events of the images. Every image gets a final event; an error of the grid fails all of them.
    pub(super) fn events(self) -> impl Stream<Item = ImageEvent> + Send + 'static {
        let (sender, receiver) = unbounded_channel();
        let work = async move { self.run(&sender).await };
        let work = work.into_stream().map(|()| None);
        stream::select(UnboundedReceiverStream::new(receiver).map(Some), work).filter_map(std::future::ready)
    }

    /// Generates the grid and its images, and sends their events.
    async fn run(self, sender: &UnboundedSender<ImageEvent>) {
        // Sending fails only while the stream, and this future with it, is being dropped.
        match self.generate(sender).await {
            Ok(grid) => {
                let singles = self.images.clone().map(|index| self.single(index, &grid));
                join_all(singles.map(|single| single.map(|event| drop(sender.send(event))))).await;
            }
            Err(error) => {
                for index in self.images.clone() {
                    let _ = sender.send(ImageEvent::Failed { index, error: error.clone() });
                }
            }
        }
    }

    /// Submits the grid and waits for it; sends previews.
    async fn generate(&self, sender: &UnboundedSender<ImageEvent>) -> Result<FinishedGrid, ProviderError> {
        let (parameters, prompt) = (Arc::clone(&self.parameters), self.prompt.clone());
        let body = on_blocking_thread(move || Ok(prompt::imagine_body(&parameters, &prompt))).await?;
        let mut poller = self.proxy.submit("submit/imagine", body).await?;
        let (mut last_preview, mut preview_index, mut is_confirmed) = (String::new(), 0, false);
        loop {
            let (task, done) = poller.next::<Task>().await?;
            if done {
                return Ok(FinishedGrid { task, id: poller.id.clone(), pixels: OnceCell::new() });
            }
            if task.awaits_confirmation() && !is_confirmed {
                is_confirmed = true;
                self.confirm(&poller).await?;
            }
            if preview_index < self.parameters.partial_images
                && let Some(link) = task.link().filter(|link| *link != last_preview)
            {
                link.clone_into(&mut last_preview);
                // A preview that cannot be downloaded is skipped.
                if let Ok(Ok(picture)) = timeout(PREVIEW_TIMEOUT, self.fetcher.download(link)).await {
                    self.send_previews(picture, preview_index, sender).await;
                    preview_index += 1;
                }
            }
        }
    }

    /// Confirms the modal dialog in which Midjourney shows the prompt before it continues.
    async fn confirm(&self, poller: &TaskPoller) -> Result<(), ProviderError> {
        let body = json!({"taskId": poller.id, "prompt": self.prompt}).to_string();
        self.proxy.submit("submit/modal", body).await?.detach();
        Ok(())
    }

    /// Sends a preview of each image, cropped from a preview of the grid.
    async fn send_previews(&self, grid: Bytes, preview_index: u32, sender: &UnboundedSender<ImageEvent>) {
        let positions = 0..self.images.end - self.images.start;
        let parts = on_blocking_thread(move || {
            let grid = decode_grid(&grid)?;
            positions.map(|position| quadrant(&grid, position)).collect::<Result<Vec<_>, _>>()
        });
        for (index, picture) in self.images.clone().zip(parts.await.unwrap_or_default()) {
            let _ = sender.send(ImageEvent::Preview { index, preview_index, picture });
        }
    }

    /// Returns the final event of an image.
    async fn single(&self, index: u32, grid: &FinishedGrid) -> ImageEvent {
        let position = index - self.images.start;
        let revised_prompt = grid.task.revised_prompt(&self.prompt).unwrap_or_default();
        match self.extract(position, grid).await {
            Ok(picture) => ImageEvent::Finished { index, picture, revised_prompt },
            Err(error) => ImageEvent::Failed { index, error },
        }
    }

    /// Obtains a single image: by its link, by an upscale task, or by cropping the grid.
    async fn extract(&self, position: u32, grid: &FinishedGrid) -> Result<Bytes, ProviderError> {
        let single = match (grid.task.single_links(), self.singles) {
            (Some(links), _) => self.download(links.into_iter().nth(position as usize)).await,
            (None, MidjourneySingles::Upscale) => self.upscale(position, grid).await,
            (None, MidjourneySingles::Cut) => return self.crop(position, grid).await,
        };
        match single {
            Err(error)
                if matches!(error.failure(), ProviderError::ContentPolicy(_) | ProviderError::Credentials(_)) =>
            {
                Err(error)
            }
            // The grid was billed and has the same image.
            Err(error) => {
                tracing::info!(%error, "could not obtain a single image; cropping the grid");
                self.crop(position, grid).await.map_err(|_| error)
            }
            picture => picture,
        }
    }

    /// Obtains a single image with a further task.
    async fn upscale(&self, position: u32, grid: &FinishedGrid) -> Result<Bytes, ProviderError> {
        let (path, body) = match grid.task.upscale_button(position) {
            Some(button) => ("submit/action", json!({"taskId": grid.id, "customId": button})),
            None if grid.task.has_buttons() => {
                return Err(ProviderError::Unreadable("the grid has no button for one of its images".to_owned()));
            }
            None => ("submit/change", json!({"taskId": grid.id, "action": "UPSCALE", "index": position + 1})),
        };
        let mut poller = self.proxy.submit(path, body.to_string()).await?;
        loop {
            let (task, done) = poller.next::<Task>().await?;
            if done {
                return self.download(task.link()).await;
            }
            if task.awaits_confirmation() {
                let message = "the proxy requires a confirmation for an upscale";
                return Err(ProviderError::Unreadable(message.to_owned()));
            }
        }
    }

    /// Crops a single image from the grid.
    async fn crop(&self, position: u32, grid: &FinishedGrid) -> Result<Bytes, ProviderError> {
        let pixels = grid.pixels.get_or_try_init(|| async {
            let file = self.download(grid.task.link()).await?;
            on_blocking_thread(move || decode_grid(&file).map(Arc::new)).await
        });
        let pixels = Arc::clone(pixels.await?);
        on_blocking_thread(move || quadrant(&pixels, position)).await
    }

    async fn download(&self, link: Option<&str>) -> Result<Bytes, ProviderError> {
        let link =
            link.ok_or_else(|| ProviderError::Unreadable("the proxy's finished task has no image".to_owned()))?;
        self.fetcher.download(link).await
    }
}
