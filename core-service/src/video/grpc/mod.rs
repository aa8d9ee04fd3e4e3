//! The gRPC service for videos. Each method authenticates the caller, runs within the deadline of the call, and leaves the
//! work to [`Jobs`] and the submodules.

mod create;
mod derive;
mod estimate;
mod inputs;

use async_trait::async_trait;
use futures_util::{
    StreamExt,
    stream::{self, BoxStream},
};
use tonic::{Request, Response, Status};
use triptych_proto::v1::{self as pb, download_video_response::Part, video_service_server::VideoService};

use super::{
    callback::CallbackRule,
    history,
    job::Job,
    jobs::Jobs,
    provider::VideoModel,
    repetition, response,
    state::{JobState, Phase},
    validate,
};
use crate::{
    context::RequestContext,
    error::Error,
    keys::{Caller, Keys},
    limits::Admission,
    live::Live,
    media::{InputResolver, MediaKey, MediaStore},
    models::Models,
};

/// Implements [`VideoService`] over the video models and the jobs. Clones share everything.
#[derive(Debug, Clone)]
pub struct VideoGrpc {
    models: Live<Models<VideoModel>>,
    jobs: Jobs,
    inputs: InputResolver,
    media_store: MediaStore,
    callbacks: CallbackRule,
    keys: Keys,
}

/// A new job, or the job of an earlier call that this call repeats.
#[derive(Debug)]
struct Created {
    job: Job,
    /// The admission by the limits of the caller. The default for a repeated call, which does not count.
    admission: Admission,
}

impl From<Job> for Created {
    fn from(existing: Job) -> Self {
        Self { job: existing, admission: Admission::default() }
    }
}

impl VideoGrpc {
    /// Serves these models. A [`Runner`](super::runner::Runner) over the same jobs renders their videos.
    pub fn new(models: Live<Models<VideoModel>>, jobs: Jobs, inputs: InputResolver) -> Self {
        let media_store = jobs.media_store.clone();
        Self { models, jobs, inputs, media_store, callbacks: CallbackRule::default(), keys: Keys::default() }
    }

    /// Accepts a `callback_url` that this rule permits. Otherwise none is accepted.
    #[must_use]
    pub fn with_callbacks(self, callbacks: CallbackRule) -> Self {
        Self { callbacks, ..self }
    }

    /// Requires callers to send one of these keys.
    #[must_use]
    pub fn with_keys(self, keys: Keys) -> Self {
        Self { keys, ..self }
    }

    /// Authenticates the caller. `idempotency_key` is that of the request; empty for methods without one.
    fn context<T>(&self, request: &Request<T>, idempotency_key: &str) -> Result<RequestContext, Error> {
        RequestContext::new(request, &self.keys, idempotency_key)
    }

    async fn video(&self, job: &Job, caller: &Caller) -> Result<pb::Video, Error> {
        snapshot(&self.jobs, job, caller).await
    }

    /// Returns the snapshots of a page of jobs. One query finds all positions in the queue.
    async fn videos(&self, jobs: &[Job], caller: &Caller) -> Result<Vec<pb::Video>, Error> {
        let queued: Vec<_> = jobs.iter().filter(|job| is_queued(job)).map(|job| job.id.clone()).collect();
        let mut positions = self.jobs.queue_positions(&queued).await?.into_iter();
        let now = self.jobs.store.now();
        let snapshot = |job: &Job| {
            let position = if is_queued(job) { positions.next() } else { None };
            response::video(job, position, caller.is_admin(), now)
        };
        Ok(jobs.iter().map(snapshot).collect())
    }

    /// Opens a stored file: a range of its bytes, or its URL if the caller accepts one and the store has it.
    async fn open_file(
        &self,
        key: &MediaKey,
        offset: u64,
        length: Option<u64>,
        accepts_url: bool,
    ) -> Result<(pb::Media, BoxStream<'static, Result<Part, Error>>), Error> {
        if accepts_url && let Some((media, url)) = self.media_store.download_url(key).await? {
            return Ok((media, stream::iter([Ok(Part::DownloadUrl(url))]).boxed()));
        }
        let (media, bytes) = self.media_store.read(key, offset, length).await?;
        Ok((media, bytes.map(|bytes| bytes.map(Part::Data)).boxed()))
    }
}

/// Returns the snapshot of one job, with its position if it is queued.
async fn snapshot(jobs: &Jobs, job: &Job, caller: &Caller) -> Result<pb::Video, Error> {
    let queued = std::slice::from_ref(&job.id);
    let positions = if is_queued(job) { jobs.queue_positions(queued).await? } else { Vec::new() };
    Ok(response::video(job, positions.first().copied(), caller.is_admin(), jobs.store.now()))
}

fn is_queued(job: &Job) -> bool {
    job.state.phase() == Phase::Queued
}

/// Returns the error for a video that is needed but has not succeeded.
fn not_ready(job: &Job) -> Error {
    let why = match &job.state {
        JobState::Failed { message, .. } => format!("it failed: {message}"),
        JobState::Cancelled { .. } => "it was cancelled".to_owned(),
        state @ (JobState::Queued
        | JobState::Submitting { .. }
        | JobState::Rendering { .. }
        | JobState::Storing { .. }
        | JobState::Succeeded { .. }) => format!("it is {}", response::description(state)),
    };
    Error::VideoNotReady { id: job.id.to_string(), why }
}

#[async_trait]
impl VideoService for VideoGrpc {
    async fn create_video(
        &self,
        request: Request<pb::CreateVideoRequest>,
    ) -> Result<Response<pb::CreateVideoResponse>, Status> {
        let context = self.context(&request, &request.get_ref().idempotency_key)?;
        let created = context.within(async {
            let Created { job, admission } = Box::pin(self.create(&context, request.into_inner())).await?;
            Ok((self.video(&job, &context.caller).await?, admission))
        });
        let (video, admission) = created.await?;
        Ok(admission.response(pb::CreateVideoResponse { video: Some(video) }))
    }

    async fn get_video(&self, request: Request<pb::GetVideoRequest>) -> Result<Response<pb::GetVideoResponse>, Status> {
        let context = self.context(&request, "")?;
        let pb::GetVideoRequest { id } = request.into_inner();
        let video = context.within(async {
            let job = self.jobs.get(&id, &context.caller.owners()).await?;
            let video = self.video(&job, &context.caller).await?;
            Ok::<_, Error>(pb::Video { request: repetition::request(&job).map(Box::new), ..video })
        });
        Ok(Response::new(pb::GetVideoResponse { video: Some(video.await?) }))
    }

    async fn get_video_history(
        &self,
        request: Request<pb::GetVideoHistoryRequest>,
    ) -> Result<Response<pb::GetVideoHistoryResponse>, Status> {
        let context = self.context(&request, "")?;
        let pb::GetVideoHistoryRequest { id } = request.into_inner();
        let history = context.within(async {
            let job = self.jobs.get(&id, &context.caller.owners()).await?;
            let events = self.jobs.events(&job.id).await?;
            Ok::<_, Error>(history::response(&job, &events))
        });
        Ok(Response::new(history.await?))
    }

    async fn list_videos(
        &self,
        request: Request<pb::ListVideosRequest>,
    ) -> Result<Response<pb::ListVideosResponse>, Status> {
        let context = self.context(&request, "")?;
        let mut page = validate::parse_page(request.get_ref(), &context.caller)?;
        let limit = page.limit as usize;
        // One more than requested tells whether there is another page.
        page.limit += 1;
        let response = context.within(async {
            let jobs = self.jobs.list(&page).await?;
            let videos = self.videos(&jobs[..jobs.len().min(limit)], &context.caller).await?;
            let last = videos.last().filter(|_| jobs.len() > limit);
            let next_page_token = last.map(|video: &pb::Video| video.id.clone()).unwrap_or_default();
            Ok::<_, Error>(pb::ListVideosResponse { videos, next_page_token })
        });
        Ok(Response::new(response.await?))
    }

    type WatchVideoStream = BoxStream<'static, Result<pb::WatchVideoResponse, Status>>;

    async fn watch_video(
        &self,
        request: Request<pb::WatchVideoRequest>,
    ) -> Result<Response<Self::WatchVideoStream>, Status> {
        let context = self.context(&request, "")?;
        let pb::WatchVideoRequest { id } = request.into_inner();
        let snapshots = context.within(self.jobs.watch(&id, &context.caller.owners())).await?;
        let snapshots = context.within_stream(snapshots);
        let (jobs, caller) = (self.jobs.clone(), context.caller);
        let messages = snapshots.then(move |job| {
            let (jobs, caller) = (jobs.clone(), caller.clone());
            // Boxed, so that a stream that waits for a change does not hold the memory of this future.
            Box::pin(async move { Ok(pb::WatchVideoResponse { video: Some(snapshot(&jobs, &job?, &caller).await?) }) })
        });
        Ok(Response::new(messages.boxed()))
    }

    type DownloadVideoStream = BoxStream<'static, Result<pb::DownloadVideoResponse, Status>>;

    async fn download_video(
        &self,
        request: Request<pb::DownloadVideoRequest>,
    ) -> Result<Response<Self::DownloadVideoStream>, Status> {
        let context = self.context(&request, "")?;
        let pb::DownloadVideoRequest { id, variant, offset, length, accept_download_url } = request.into_inner();
        let variant = validate::parse_variant(variant)?;
        let opened = context.within(async {
            let job = self.jobs.get(&id, &context.caller.owners()).await?;
            let JobState::Succeeded { media, .. } = &job.state else { return Err(not_ready(&job)) };
            let Some(file) = media.iter().find(|file| file.variant == variant) else {
                return Err(Error::invalid("variant", format!("this video has no {}", variant.as_str())));
            };
            let key = MediaKey::from_request(&file.key)?;
            let opened = self.open_file(&key, offset, length, accept_download_url).await;
            let missing = matches!(opened, Err(Error::MediaNotFound(_)));
            if missing != file.missing
                && let Err(error) = self.jobs.record_file(&job, variant, missing).await
            {
                tracing::warn!(job.id = %job.id, "a missing file of a video was not recorded: {error}");
            }
            opened
        });
        let (media, rest) = opened.await?;
        let parts = stream::iter([Ok(Part::Media(media))]).chain(rest);
        let messages = context
            .within_stream(parts)
            .map(|part: Result<Part, Error>| Ok(pb::DownloadVideoResponse { part: Some(part?) }));
        Ok(Response::new(messages.boxed()))
    }

    async fn cancel_video(
        &self,
        request: Request<pb::CancelVideoRequest>,
    ) -> Result<Response<pb::CancelVideoResponse>, Status> {
        let context = self.context(&request, "")?;
        let pb::CancelVideoRequest { id } = request.into_inner();
        let video = context.within(async {
            let job = self.jobs.cancel(&id, &context.caller.owners()).await?;
            self.video(&job, &context.caller).await
        });
        Ok(Response::new(pb::CancelVideoResponse { video: Some(video.await?) }))
    }

    async fn delete_video(
        &self,
        request: Request<pb::DeleteVideoRequest>,
    ) -> Result<Response<pb::DeleteVideoResponse>, Status> {
        let context = self.context(&request, "")?;
        let pb::DeleteVideoRequest { id } = request.into_inner();
        let id = context.within(self.jobs.delete(&id, &context.caller.owners())).await?;
        Ok(Response::new(pb::DeleteVideoResponse { id: id.to_string() }))
    }

    async fn remix_video(
        &self,
        request: Request<pb::RemixVideoRequest>,
    ) -> Result<Response<pb::RemixVideoResponse>, Status> {
        let context = self.context(&request, &request.get_ref().idempotency_key)?;
        let created = context.within(async {
            let Created { job, admission } = Box::pin(self.remix(&context, request.into_inner())).await?;
            Ok((self.video(&job, &context.caller).await?, admission))
        });
        let (video, admission) = Box::pin(created).await?;
        Ok(admission.response(pb::RemixVideoResponse { video: Some(video) }))
    }

    async fn edit_video(
        &self,
        request: Request<pb::EditVideoRequest>,
    ) -> Result<Response<pb::EditVideoResponse>, Status> {
        let context = self.context(&request, &request.get_ref().idempotency_key)?;
        let created = context.within(async {
            let Created { job, admission } = self.edit(&context, request.into_inner()).await?;
            Ok((self.video(&job, &context.caller).await?, admission))
        });
        let (video, admission) = created.await?;
        Ok(admission.response(pb::EditVideoResponse { video: Some(video) }))
    }

    async fn extend_video(
        &self,
        request: Request<pb::ExtendVideoRequest>,
    ) -> Result<Response<pb::ExtendVideoResponse>, Status> {
        let context = self.context(&request, &request.get_ref().idempotency_key)?;
        let created = context.within(async {
            let Created { job, admission } = self.extend(&context, request.into_inner()).await?;
            Ok((self.video(&job, &context.caller).await?, admission))
        });
        let (video, admission) = created.await?;
        Ok(admission.response(pb::ExtendVideoResponse { video: Some(video) }))
    }
}

#[cfg(test)]
mod tests;
