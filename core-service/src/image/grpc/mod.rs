//! The gRPC door of the image panel.

use std::time::Duration;

use async_trait::async_trait;
use futures_util::{
    FutureExt, StreamExt, TryStreamExt,
    stream::{self, BoxStream},
};
use prost::Message;
use tonic::{Request, Response, Status};
use triptych_proto::v1::{self as pb, image_service_server::ImageService};

use super::{
    Background, ImageSpec,
    answer::{Answer, in_message},
    fit::{Fitter, Wish},
    generation::{self, Generation, in_time},
    joined::Joined,
    outcomes::Outcomes,
    validate::{self, Checked},
};
use crate::{
    call::Call,
    catalog::Catalog,
    context::RequestContext,
    error::Error,
    idempotency::Idempotency,
    keys::Keys,
    live::Live,
    media::{InputPicture, Inputs, MediaStore},
};

/// Input pictures of one request that are fetched and decoded at a time.
const INPUTS_AT_ONCE: usize = 4;

/// Serves [`ImageService`] from a catalog. Clones share everything.
#[derive(Debug, Clone)]
pub struct ImageGrpc {
    catalog: Live<Catalog>,
    media_store: MediaStore,
    inputs: Inputs,
    fitter: Fitter,
    joined: Joined<Answer>,
    keys: Keys,
    /// How many bytes of pictures one message may carry.
    room: usize,
}

impl ImageGrpc {
    /// A door to the image models of this catalog. Pictures handed over as links are kept in `media_store`. A request that
    /// comes again under its key joins the first one until `idempotency_ttl` after its end; zero joins none.
    pub fn new(catalog: Live<Catalog>, media_store: MediaStore, inputs: Inputs, idempotency_ttl: Duration) -> Self {
        let joined = Joined::new(idempotency_ttl, Answer::bytes);
        Self { catalog, media_store, inputs, fitter: Fitter::new(), joined, keys: Keys::default(), room: usize::MAX }
    }

    /// The same, where a message is never longer than this. Of the pictures of one answer as many as three quarters of it
    /// hold are handed over as bytes, and the others by their keys; what is said of them, rewritten prompts of at most
    /// some thousand characters each, has the rest.
    #[must_use]
    pub fn with_messages_of(self, max_message_bytes: usize) -> Self {
        Self { room: max_message_bytes / 4 * 3, ..self }
    }

    /// The same, for callers with one of these keys.
    #[must_use]
    pub fn with_keys(self, keys: Keys) -> Self {
        Self { keys, ..self }
    }

    /// Ends what goes on without a caller, and waits for its end.
    pub async fn close(&self) {
        self.joined.close().await;
    }

    /// Checks a request, gets hold of its pictures and passes it to whoever makes it.
    async fn admit(
        &self,
        context: RequestContext,
        image: Option<pb::ImageRequest>,
        partial_images: u32,
    ) -> Result<Generation, Error> {
        let image = image.ok_or_else(|| Error::invalid("image", "is required"))?;
        let entry = self.catalog.load().image.find(&image.model)?;
        let Checked { spec, pictures, mask, delivery, keep_original } = validate::check(image, partial_images)?;
        validate::can_edit(&entry.id, entry.provider.edits(&entry.upstream), pictures.len(), mask.is_some())?;
        let wish = Wish {
            size: spec.size,
            encoding: spec.format,
            opaque: spec.background == Background::Opaque,
            original: keep_original,
        };
        let (ledger, deadline) = (Outcomes::new(spec.n), context.deadline);
        let events = in_time(deadline, async {
            let request = self.with_inputs(spec, pictures, mask).await?;
            let call = Call { model: entry.upstream.clone(), request, context };
            Ok(entry.provider.generate(call).await?)
        });
        let events = events.await?;
        Ok(Generation {
            events,
            ledger,
            model: entry.id.clone(),
            wish,
            delivery,
            deadline,
            room: usize::MAX,
            fitter: self.fitter.clone(),
            media_store: self.media_store.clone(),
        })
    }

    async fn with_inputs(
        &self,
        mut spec: ImageSpec,
        pictures: Vec<pb::MediaInput>,
        mask: Option<pb::MediaInput>,
    ) -> Result<ImageSpec, Error> {
        let inputs = &self.inputs;
        let pictures = stream::iter(pictures)
            .enumerate()
            .map(|(place, input)| async move { inputs.resolve(&format!("pictures[{place}]"), input).await });
        let pictures: Vec<InputPicture> = pictures.buffered(INPUTS_AT_ONCE).try_collect().await?;
        if let (Some(mask), Some(first)) = (mask, pictures.first()) {
            let mask = inputs.resolve("mask", mask).await?;
            if mask.size != first.size {
                let message = format!("must have the size of the first picture, {}, not {}", first.size, mask.size);
                return Err(Error::invalid("mask", message));
            }
            if !mask.has_alpha {
                let message = "must be PNG or WebP with an alpha channel: its transparent pixels are where to paint";
                return Err(Error::invalid("mask", message));
            }
            spec.mask = Some(mask);
        }
        spec.pictures = pictures;
        Ok(spec)
    }

    /// All pictures of a request at once.
    async fn generate(
        &self,
        context: RequestContext,
        request: pb::GenerateImagesRequest,
    ) -> Result<pb::GenerateImagesResponse, Error> {
        let pb::GenerateImagesRequest { image, idempotency_key: _ } = request;
        let early = context.deadline.map(generation::early);
        let making = self.admit(context, image, 0).await?;
        Generation { room: self.room, ..making }.whole(early).await
    }

    async fn admit_stream(
        &self,
        context: RequestContext,
        request: pb::StreamImagesRequest,
    ) -> Result<Generation, Error> {
        let pb::StreamImagesRequest { image, idempotency_key: _, partial_images } = request;
        self.admit(context, image, partial_images).await
    }

    /// The answers to a request that may be joined; `work` makes them if nobody has yet. Each caller waits as long as its
    /// own deadline allows; the work itself belongs to all of them.
    async fn joined<R: Message + Clone + 'static>(
        &self,
        context: &RequestContext,
        method: &'static str,
        request: &R,
        work: impl FnOnce(RequestContext, R) -> BoxStream<'static, Result<Answer, Error>>,
    ) -> Result<Option<BoxStream<'static, Result<Answer, Error>>>, Error> {
        if !self.joined.is_enabled() {
            return Ok(None);
        }
        let Some(call) = Idempotency::of(context, method, request).await else { return Ok(None) };
        let deadline = context.deadline;
        if let Some(kept) = self.joined.kept(&call)
            && !self.holds(&kept.items()).await
        {
            tracing::info!("an answer's picture is gone, so its request is begun anew");
            self.joined.forget(&kept);
        }
        let shared = RequestContext { deadline: None, ..context.clone() };
        let answers = self.joined.enter(call, || work(shared, request.clone()))?;
        let in_time = stream::try_unfold(answers, move |mut answers| async move {
            let next = in_time(deadline, async { answers.try_next().await }).await?;
            Ok(next.map(|answer| (answer, answers)))
        });
        Ok(Some(in_time.boxed()))
    }

    /// Whether the pictures that answers lead to are still there. That they were asked for keeps them.
    async fn holds(&self, answers: &[Answer]) -> bool {
        for key in answers.iter().flat_map(Answer::media_keys) {
            if let Err(Error::MediaNotFound(_)) = self.media_store.describe(&key).await {
                return false;
            }
        }
        true
    }
}

#[async_trait]
impl ImageService for ImageGrpc {
    async fn generate_images(
        &self,
        request: Request<pb::GenerateImagesRequest>,
    ) -> Result<Response<pb::GenerateImagesResponse>, Status> {
        let context = RequestContext::new(&request, &self.keys, &request.get_ref().idempotency_key)?;
        let request = request.into_inner();
        let work = |context: RequestContext, request| {
            let door = self.clone();
            let answer = async move { door.generate(context, request).await.map(Answer::Whole) };
            answer.into_stream().boxed()
        };
        let joined = self.joined(&context, "GenerateImages", &request, work).await?;
        let Some(mut answers) = joined else { return Ok(Response::new(self.generate(context, request).await?)) };
        match answers.try_next().await? {
            Some(Answer::Whole(answer)) => Ok(Response::new(answer)),
            Some(Answer::Event(_)) | None => {
                Err(Error::Internal("a joined request without an answer".to_owned()).into())
            }
        }
    }

    type StreamImagesStream = BoxStream<'static, Result<pb::StreamImagesResponse, Status>>;

    async fn stream_images(
        &self,
        request: Request<pb::StreamImagesRequest>,
    ) -> Result<Response<Self::StreamImagesStream>, Status> {
        let context = RequestContext::new(&request, &self.keys, &request.get_ref().idempotency_key)?;
        let request = request.into_inner();
        let work = |context: RequestContext, request| {
            let door = self.clone();
            let events = async move { Ok::<_, Error>(door.admit_stream(context, request).await?.one_by_one()) };
            events.into_stream().try_flatten().map_ok(Answer::Event).boxed()
        };
        let joined = self.joined(&context, "StreamImages", &request, work).await?;
        let Some(answers) = joined else {
            let making = self.admit_stream(context, request).await?;
            return Ok(Response::new(making.one_by_one().map(in_message).boxed()));
        };
        let mut answers = answers.peekable();
        // What is wrong before the first event is the call's own failure.
        if let Some(Err(error)) = std::pin::Pin::new(&mut answers).next_if(Result::is_err).await {
            return Err(error.into());
        }
        let events = answers.map(|answer| match answer {
            Ok(Answer::Event(event)) => in_message(Ok(event)),
            Ok(Answer::Whole(_)) => Err(Error::Internal("a joined stream without events".to_owned()).into()),
            Err(error) => Err(error.into()),
        });
        Ok(Response::new(events.boxed()))
    }
}

#[cfg(test)]
mod tests;
