//! The gRPC door of the video panel.

use async_trait::async_trait;
use futures_util::{
    StreamExt,
    stream::{self, BoxStream},
};
use prost::Message;
use tonic::{Request, Response, Status};
use triptych_proto::v1::{self as pb, download_video_response::Part, video_service_server::VideoService};

use super::{
    VideoProvider,
    job::{IdempotencyKey, Job, JobId, Order},
    jobs::Jobs,
    state::{JobState, Phase},
    validate::{self, Checked},
    view,
};
use crate::{
    catalog::{Catalog, Entry},
    check,
    error::{Error, ProviderError},
    keys::{Caller, Keys},
    live::Live,
    media::{Inputs, MediaKey, MediaStore, MediaType},
};

/// The longest reference picture a remix copies, in bytes; no create takes a longer one.
const LARGEST_PICTURE: u64 = 64 << 20;

/// Serves [`VideoService`] from a catalog and a store of jobs. Clones share everything.
#[derive(Debug, Clone)]
pub struct VideoGrpc {
    catalog: Live<Catalog>,
    jobs: Jobs,
    inputs: Inputs,
    media_store: MediaStore,
    keys: Keys,
}

impl VideoGrpc {
    /// A door to the video models of this catalog; a [`Runner`](super::runner::Runner) over the same jobs moves them.
    pub fn new(catalog: Live<Catalog>, jobs: Jobs, inputs: Inputs) -> Self {
        let media_store = jobs.media_store.clone();
        Self { catalog, jobs, inputs, media_store, keys: Keys::default() }
    }

    /// The same, for callers with one of these keys.
    #[must_use]
    pub fn with_keys(self, keys: Keys) -> Self {
        Self { keys, ..self }
    }

    async fn create(&self, caller: &Caller, mut request: pb::CreateVideoRequest) -> Result<Job, Error> {
        let key = std::mem::take(&mut request.idempotency_key);
        let key = validate::key(caller, key, "create", &request.encode_to_vec())?;
        // Before everything else: a repeated create answers alike even if its picture's address is dead by now.
        if let Some(known) = self.known(key.as_ref()).await? {
            return Ok(known);
        }
        let entry = self.catalog.load().video.find(&request.model)?;
        let Checked { prompt, size, seconds, seed, user, extra_json, input_reference } = validate::create(request)?;
        let id = JobId::new();
        let reference = match input_reference {
            None => None,
            Some(input) => {
                can(&entry, "input_reference", "start from a picture")?;
                let picture = self.inputs.resolve("input_reference", input).await?;
                Some(self.keep_reference(&id, picture.bytes, picture.format).await?)
            }
        };
        let order = Order {
            provider: entry.provider_id.clone(),
            model: entry.id.clone(),
            upstream: entry.upstream.clone(),
            prompt,
            width: size.width,
            height: size.height,
            seconds,
            seed,
            reference,
            user,
            extra_json,
            remixed_from: None,
        };
        self.jobs.create(id, order, key).await
    }

    async fn remix(&self, caller: &Caller, request: pb::RemixVideoRequest) -> Result<Job, Error> {
        let pb::RemixVideoRequest { id, prompt, idempotency_key } = request;
        let told = [id.as_str(), "\0", prompt.as_str()].concat();
        let key = validate::key(caller, idempotency_key, "remix", told.as_bytes())?;
        if let Some(known) = self.known(key.as_ref()).await? {
            return Ok(known);
        }
        check::prompt(&prompt)?;
        let source = self.jobs.get(&id).await?;
        if source.state.phase() != Phase::Succeeded {
            return Err(not_ready(&source));
        }
        let entry = self.catalog.load().video.find(&source.order.model)?;
        can(&entry, "remix", "remix")?;
        let id = JobId::new();
        let reference = match source.order.reference.as_deref() {
            None => None,
            Some(key) => {
                // A copy: either job may be deleted first.
                let key = MediaKey::from_request(key)?;
                let picture = self.media_store.bytes(&key, LARGEST_PICTURE).await?;
                Some(self.keep_reference(&id, picture, key.media_type()).await?)
            }
        };
        let order = Order {
            provider: entry.provider_id.clone(),
            upstream: entry.upstream.clone(),
            prompt,
            reference,
            remixed_from: Some(source.id),
            ..source.order
        };
        self.jobs.create(id, order, key).await
    }

    async fn known(&self, key: Option<&IdempotencyKey>) -> Result<Option<Job>, Error> {
        match key {
            Some(key) => self.jobs.known(key).await,
            None => Ok(None),
        }
    }

    /// Stores the job's own copy of its picture, before the job that names it.
    async fn keep_reference(&self, id: &JobId, picture: bytes::Bytes, kind: MediaType) -> Result<String, Error> {
        let text = format!("{id}-reference.{}", kind.extension());
        let key = MediaKey::parse(&text).ok_or_else(|| Error::Internal(format!("`{text}` is no key")))?;
        Ok(self.media_store.put(&key, picture).await?.key)
    }

    async fn view(&self, job: &Job) -> Result<pb::Video, Error> {
        let ahead = match job.state.phase() {
            Phase::Queued => Some(self.jobs.ahead(&job.id).await?),
            Phase::Submitting
            | Phase::Rendering
            | Phase::Storing
            | Phase::Succeeded
            | Phase::Failed
            | Phase::Cancelled => None,
        };
        Ok(view::video(job, ahead, self.jobs.clock.now()))
    }
}

fn can(entry: &Entry<dyn VideoProvider>, capability: &str, words: &str) -> Result<(), Error> {
    if entry.capabilities.contains(&capability) {
        return Ok(());
    }
    Err(ProviderError::NotSupported(format!("the model `{}` cannot {words}", entry.id)).into())
}

fn not_ready(job: &Job) -> Error {
    let why = match &job.state {
        JobState::Failed { message, .. } => format!("it failed: {message}"),
        JobState::Cancelled { .. } => "it was cancelled".to_owned(),
        state @ (JobState::Queued
        | JobState::Submitting
        | JobState::Rendering { .. }
        | JobState::Storing { .. }
        | JobState::Succeeded { .. }) => format!("it is {}", view::words(state)),
    };
    Error::VideoNotReady { id: job.id.to_string(), why }
}

#[async_trait]
impl VideoService for VideoGrpc {
    async fn create_video(
        &self,
        request: Request<pb::CreateVideoRequest>,
    ) -> Result<Response<pb::CreateVideoResponse>, Status> {
        let caller = self.keys.caller(&request)?;
        let job = self.create(&caller, request.into_inner()).await?;
        Ok(Response::new(pb::CreateVideoResponse { video: Some(self.view(&job).await?) }))
    }

    async fn get_video(&self, request: Request<pb::GetVideoRequest>) -> Result<Response<pb::GetVideoResponse>, Status> {
        self.keys.caller(&request)?;
        let job = self.jobs.get(&request.get_ref().id).await?;
        Ok(Response::new(pb::GetVideoResponse { video: Some(self.view(&job).await?) }))
    }

    async fn list_videos(
        &self,
        request: Request<pb::ListVideosRequest>,
    ) -> Result<Response<pb::ListVideosResponse>, Status> {
        self.keys.caller(&request)?;
        let mut page = validate::page(request.get_ref())?;
        let limit = page.limit as usize;
        // One more than asked for tells whether there are more.
        page.limit += 1;
        let jobs = self.jobs.list(&page).await?;
        let mut videos = Vec::with_capacity(limit);
        for job in jobs.iter().take(limit) {
            videos.push(self.view(job).await?);
        }
        let last = videos.last().filter(|_| jobs.len() > limit);
        let next_page_token = last.map(|video: &pb::Video| video.id.clone()).unwrap_or_default();
        Ok(Response::new(pb::ListVideosResponse { videos, next_page_token }))
    }

    type WatchVideoStream = BoxStream<'static, Result<pb::WatchVideoResponse, Status>>;

    async fn watch_video(
        &self,
        request: Request<pb::WatchVideoRequest>,
    ) -> Result<Response<Self::WatchVideoStream>, Status> {
        self.keys.caller(&request)?;
        let snapshots = self.jobs.watch(&request.get_ref().id).await?;
        let door = self.clone();
        let messages = snapshots.then(move |job| {
            let door = door.clone();
            async move { Ok(pb::WatchVideoResponse { video: Some(door.view(&job?).await?) }) }
        });
        Ok(Response::new(messages.boxed()))
    }

    type DownloadVideoStream = BoxStream<'static, Result<pb::DownloadVideoResponse, Status>>;

    async fn download_video(
        &self,
        request: Request<pb::DownloadVideoRequest>,
    ) -> Result<Response<Self::DownloadVideoStream>, Status> {
        self.keys.caller(&request)?;
        let pb::DownloadVideoRequest { id, variant, offset, length } = request.into_inner();
        let variant = validate::variant(variant)?;
        let job = self.jobs.get(&id).await?;
        let JobState::Succeeded { media } = &job.state else { return Err(not_ready(&job).into()) };
        let Some(file) = media.iter().find(|file| file.variant == variant) else {
            let message = format!("this video has no {}", variant.as_str());
            return Err(Error::invalid("variant", message).into());
        };
        let (media, bytes) = self.media_store.read(&MediaKey::from_request(&file.key)?, offset, length).await?;
        let parts = stream::iter([Ok(Part::Media(media))]).chain(bytes.map(|bytes| bytes.map(Part::Data)));
        let messages = parts.map(|part: Result<Part, Error>| Ok(pb::DownloadVideoResponse { part: Some(part?) }));
        Ok(Response::new(messages.boxed()))
    }

    async fn cancel_video(
        &self,
        request: Request<pb::CancelVideoRequest>,
    ) -> Result<Response<pb::CancelVideoResponse>, Status> {
        self.keys.caller(&request)?;
        let job = self.jobs.cancel(&request.get_ref().id).await?;
        Ok(Response::new(pb::CancelVideoResponse { video: Some(self.view(&job).await?) }))
    }

    async fn delete_video(
        &self,
        request: Request<pb::DeleteVideoRequest>,
    ) -> Result<Response<pb::DeleteVideoResponse>, Status> {
        self.keys.caller(&request)?;
        let id = self.jobs.delete(&request.get_ref().id).await?;
        Ok(Response::new(pb::DeleteVideoResponse { id: id.to_string() }))
    }

    async fn remix_video(
        &self,
        request: Request<pb::RemixVideoRequest>,
    ) -> Result<Response<pb::RemixVideoResponse>, Status> {
        let caller = self.keys.caller(&request)?;
        let job = self.remix(&caller, request.into_inner()).await?;
        Ok(Response::new(pb::RemixVideoResponse { video: Some(self.view(&job).await?) }))
    }
}

#[cfg(test)]
mod tests;
