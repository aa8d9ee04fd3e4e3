//! The built-in video engine as a provider.
//!
//! A task is a `Ticket`: all that the render was made from. The engine is deterministic, so a process that does not know
//! a task renders it anew, and nothing is lost with the process that began it.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use offline_video::{FrameRate, STILLS_MEDIA_TYPE, Shot, VIDEO_MEDIA_TYPE};
use serde::{Deserialize, Serialize};

use self::studio::Studio;
use super::super::{Clip, ClipFile, Progress, UpstreamTask, Variant, VideoProvider, VideoSpec};
use crate::{
    call::{Call, Chunks},
    catalog::Entry,
    error::ProviderError,
    fault_injection::Fault,
    media::{MediaKey, MediaStore},
};

mod studio;
#[cfg(test)]
mod tests;

/// The engine's model name.
pub const MODEL: &str = "offline-video";

/// Names that existing programs ask for; the engine answers to them and never claims to be them.
const ALIASES: [&str; 2] = ["sora-2", "sora-2-pro"];

/// How soon asking again shows a difference.
const PACE: Duration = Duration::from_millis(400);

/// The pieces that files are handed out in, in bytes.
const PIECE: usize = 256 * 1024;

/// The built-in video engine.
#[derive(Debug)]
pub struct OfflineVideo {
    studio: Studio,
}

/// The engine, the first, and below it the faults, hidden. Reference pictures are read back from `media_store`.
pub fn entries(media_store: &MediaStore) -> Vec<Entry<dyn VideoProvider>> {
    let provider = Arc::new(OfflineVideo { studio: Studio::new(media_store.clone()) });
    let entry = |id: &str, aliases: &[&str], hidden| Entry {
        id: id.to_owned(),
        upstream: id.to_owned(),
        owned_by: "offline".to_owned(),
        provider_id: "offline".to_owned(),
        aliases: aliases.iter().map(|&alias| alias.to_owned()).collect(),
        capabilities: &["input_reference", "remix"],
        hidden,
        provider: Arc::clone(&provider) as Arc<dyn VideoProvider>,
    };
    let faults = Fault::VIDEO.iter().map(|fault| entry(&fault.model(MODEL), &[], true));
    std::iter::once(entry(MODEL, &ALIASES, false)).chain(faults).collect()
}

/// Everything a render is made from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Ticket {
    /// The submission's key: the same one is the same render.
    id: String,
    fault: Option<Fault>,
    prompt: String,
    width: u32,
    height: u32,
    seconds: u32,
    seed: Option<i64>,
    /// The stored picture to start from.
    reference: Option<String>,
}

impl Ticket {
    fn new(call: Call<VideoSpec>) -> Self {
        let VideoSpec { prompt, size, seconds, seed, reference, user: _, extra_json: _ } = call.request;
        Self {
            id: call.context.idempotency_key,
            fault: Fault::of(&call.model),
            prompt,
            width: size.width,
            height: size.height,
            seconds,
            seed,
            reference: reference.map(|reference| reference.key.as_str().to_owned()),
        }
    }

    fn read(task: &str) -> Result<Self, ProviderError> {
        let unknown = |_| ProviderError::Refused { message: "this is no task of the engine".to_owned(), field: None };
        serde_json::from_str(task).map_err(unknown)
    }

    fn written(&self) -> Result<String, ProviderError> {
        serde_json::to_string(self).map_err(|error| ProviderError::Unreadable(error.to_string()))
    }

    /// Refuses what the encoder would refuse later, after the picture was painted.
    fn check(&self) -> Result<(), ProviderError> {
        let picture = image::RgbImage::new(1, 1);
        let refused = |error: offline_video::RenderError| ProviderError::Refused {
            message: error.to_string(),
            field: Some("size".to_owned()),
        };
        self.shot(&picture).validate().map_err(refused)
    }

    fn shot<'a>(&'a self, picture: &'a image::RgbImage) -> Shot<'a> {
        let Self { prompt, width, height, seconds, seed, .. } = self;
        Shot {
            picture,
            prompt,
            width: *width,
            height: *height,
            seconds: *seconds,
            fps: FrameRate::default(),
            seed: seed.map_or_else(|| studio::word(prompt), i64::cast_unsigned),
        }
    }

    fn reference(&self) -> Option<MediaKey> {
        self.reference.as_deref().and_then(MediaKey::parse)
    }
}

#[async_trait]
impl VideoProvider for OfflineVideo {
    fn repeatable(&self) -> bool {
        true
    }

    async fn submit(&self, call: Call<VideoSpec>) -> Result<UpstreamTask, ProviderError> {
        let ticket = Ticket::new(call);
        ticket.check()?;
        let error = match ticket.fault {
            Some(fault @ Fault::RateLimited) if self.studio.knocks(&ticket.id) <= Fault::REJECTED_SUBMISSIONS => {
                fault.error()
            }
            Some(fault @ Fault::Refused) => fault.error(),
            Some(_) | None => None,
        };
        error.map_or(Ok(()), Err)?;
        let task = ticket.written()?;
        if ticket.fault != Some(Fault::RenderStuck) {
            self.studio.begin(ticket);
        }
        Ok(UpstreamTask(task))
    }

    async fn poll(&self, task: &UpstreamTask) -> Result<Progress, ProviderError> {
        let ticket = Ticket::read(&task.0)?;
        if ticket.fault == Some(Fault::RenderStuck) {
            return Ok(Progress::Working { percent: Some(Fault::RENDER_STUCK_AT), poll_after: PACE * 5 });
        }
        let render = self.studio.begin(ticket);
        match render.outcome() {
            None => Ok(Progress::Working { percent: Some(render.percent()), poll_after: PACE }),
            Some(Err(error)) => Ok(Progress::Failed(error)),
            Some(Ok(_)) => {
                let file = |variant, media_type: &str| ClipFile {
                    variant,
                    media_type: media_type.to_owned(),
                    location: task.0.clone(),
                };
                Ok(Progress::Ready(Clip {
                    files: vec![
                        file(Variant::Video, VIDEO_MEDIA_TYPE),
                        file(Variant::Thumbnail, STILLS_MEDIA_TYPE),
                        file(Variant::Spritesheet, STILLS_MEDIA_TYPE),
                    ],
                }))
            }
        }
    }

    async fn fetch(&self, file: &ClipFile) -> Result<Chunks<Bytes>, ProviderError> {
        let ticket = Ticket::read(&file.location)?;
        if let Some(error) = ticket.fault.filter(|fault| *fault == Fault::LinkExpired).and_then(Fault::error) {
            return Err(error);
        }
        let bytes = self.studio.hand_out(ticket, file.variant).await?;
        Ok(stream::iter(pieces(bytes)).map(Ok).boxed())
    }

    async fn cancel(&self, task: &UpstreamTask) -> Result<(), ProviderError> {
        // What cannot be read was never begun.
        if let Ok(ticket) = Ticket::read(&task.0) {
            self.studio.end(&ticket.id);
        }
        Ok(())
    }
}

fn pieces(mut bytes: Bytes) -> Vec<Bytes> {
    let mut cut = Vec::with_capacity(bytes.len().div_ceil(PIECE));
    while !bytes.is_empty() {
        cut.push(bytes.split_to(bytes.len().min(PIECE)));
    }
    cut
}
