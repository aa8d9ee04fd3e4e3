//! The gRPC door of the image panel.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use futures_util::{
    FutureExt, StreamExt, TryStreamExt,
    stream::{self, BoxStream},
};
use prost::Message;
use tonic::{Request, Response, Status, metadata::MetadataMap};
use triptych_proto::v1::{self as pb, image_service_server::ImageService};

use super::{
    Background, ImageSpec,
    answer::{Answer, in_message},
    fit::{Fitter, Wish},
    joined::{self, Joined},
    ledger::Ledger,
    making::{self, Making, in_time},
    validate::{self, Checked},
};
use crate::{
    call::{self, Call},
    catalog::Catalog,
    error::Error,
    keys::{Caller, Keys},
    media::{InputPicture, Inputs, Vault},
};

/// The two calls, told apart where a request is joined.
const WHOLE: u8 = 0;
const STREAM: u8 = 1;

/// Input pictures of one request that are fetched and decoded at a time.
const INPUTS_AT_ONCE: usize = 4;

/// Serves [`ImageService`] from a catalog. Clones share everything.
#[derive(Debug, Clone)]
pub struct ImageDoor {
    catalog: Arc<Catalog>,
    vault: Vault,
    inputs: Inputs,
    fitter: Fitter,
    joined: Joined<Answer>,
    keys: Keys,
    /// How many bytes of pictures one message may carry.
    room: usize,
}

impl ImageDoor {
    /// A door to the image models of this catalog. Pictures handed over as links are kept in `vault`. A request that
    /// comes again under its key joins the first one until `idempotency_ttl` after its end; zero joins none.
    pub fn new(catalog: Arc<Catalog>, vault: Vault, inputs: Inputs, idempotency_ttl: Duration) -> Self {
        let joined = Joined::new(idempotency_ttl, Answer::bytes);
        Self { catalog, vault, inputs, fitter: Fitter::new(), joined, keys: Keys::default(), room: usize::MAX }
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
        metadata: &MetadataMap,
        image: Option<pb::ImageRequest>,
        idempotency_key: String,
        partial_images: u32,
    ) -> Result<Making, Error> {
        let image = image.ok_or_else(|| Error::invalid("image", "is required"))?;
        call::check_idempotency_key(&idempotency_key)?;
        let entry = self.catalog.image.find(&image.model)?;
        let Checked { spec, pictures, mask, delivery, keep_original } = validate::check(image, partial_images)?;
        validate::can_edit(&entry.id, entry.provider.edits(&entry.upstream), pictures.len(), mask.is_some())?;
        let wish = Wish {
            size: spec.size,
            encoding: spec.format,
            opaque: spec.background == Background::Opaque,
            original: keep_original,
        };
        let (ledger, deadline) = (Ledger::new(spec.n), call::deadline(metadata));
        let events = in_time(deadline, async {
            let request = self.with_inputs(spec, pictures, mask).await?;
            let call = Call {
                model: entry.upstream.clone(),
                request,
                deadline,
                request_id: call::request_id(metadata),
                idempotency_key,
            };
            Ok(entry.provider.generate(call).await?)
        });
        let events = events.await?;
        Ok(Making {
            events,
            ledger,
            model: entry.id.clone(),
            wish,
            delivery,
            deadline,
            room: usize::MAX,
            fitter: self.fitter.clone(),
            vault: self.vault.clone(),
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
        metadata: &MetadataMap,
        request: pb::GenerateImagesRequest,
    ) -> Result<pb::GenerateImagesResponse, Error> {
        let pb::GenerateImagesRequest { image, idempotency_key } = request;
        let early = call::deadline(metadata).map(making::early);
        let making = self.admit(metadata, image, idempotency_key, 0).await?;
        Making { room: self.room, ..making }.whole(early).await
    }

    async fn admit_stream(&self, metadata: &MetadataMap, request: pb::StreamImagesRequest) -> Result<Making, Error> {
        let pb::StreamImagesRequest { image, idempotency_key, partial_images } = request;
        self.admit(metadata, image, idempotency_key, partial_images).await
    }

    /// The answers to a request that may be joined; `work` makes them if nobody has yet. Each caller waits as long as its
    /// own deadline allows; the work itself belongs to all of them.
    async fn joined<R: Message + Clone + 'static>(
        &self,
        caller: &Caller,
        metadata: &MetadataMap,
        key: &str,
        kind: u8,
        request: &R,
        work: impl FnOnce(MetadataMap, R) -> BoxStream<'static, Result<Answer, Error>>,
    ) -> Result<Option<BoxStream<'static, Result<Answer, Error>>>, Error> {
        call::check_idempotency_key(key)?;
        let Some(ticket) = self.joined.ticket(metadata, key) else { return Ok(None) };
        let ticket = ticket.of(caller);
        let fingerprint = joined::fingerprint(kind, request.clone()).await;
        let mut own = metadata.clone();
        own.remove("grpc-timeout");
        let deadline = call::deadline(metadata);
        if let Some(kept) = self.joined.kept(&ticket, &fingerprint)
            && !self.holds(&kept.items()).await
        {
            tracing::info!("an answer's picture is gone, so its request is begun anew");
            self.joined.forget(&kept);
        }
        let answers = self.joined.enter(ticket, fingerprint, || work(own, request.clone()))?;
        let in_time = stream::try_unfold(answers, move |mut answers| async move {
            let next = in_time(deadline, async { answers.try_next().await }).await?;
            Ok(next.map(|answer| (answer, answers)))
        });
        Ok(Some(in_time.boxed()))
    }

    /// Whether the pictures that answers lead to are still there. That they were asked for keeps them.
    async fn holds(&self, answers: &[Answer]) -> bool {
        for key in answers.iter().flat_map(Answer::media_keys) {
            if let Err(Error::MediaNotFound(_)) = self.vault.describe(&key).await {
                return false;
            }
        }
        true
    }
}

#[async_trait]
impl ImageService for ImageDoor {
    async fn generate_images(
        &self,
        request: Request<pb::GenerateImagesRequest>,
    ) -> Result<Response<pb::GenerateImagesResponse>, Status> {
        let caller = self.keys.caller(&request)?;
        let (metadata, _, request) = request.into_parts();
        let work = |metadata: MetadataMap, request| {
            let door = self.clone();
            let answer = async move { door.generate(&metadata, request).await.map(Answer::Whole) };
            answer.into_stream().boxed()
        };
        let joined = self.joined(&caller, &metadata, &request.idempotency_key, WHOLE, &request, work).await?;
        let Some(mut answers) = joined else { return Ok(Response::new(self.generate(&metadata, request).await?)) };
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
        let caller = self.keys.caller(&request)?;
        let (metadata, _, request) = request.into_parts();
        let work = |metadata: MetadataMap, request| {
            let door = self.clone();
            let events = async move { Ok::<_, Error>(door.admit_stream(&metadata, request).await?.one_by_one()) };
            events.into_stream().try_flatten().map_ok(Answer::Event).boxed()
        };
        let joined = self.joined(&caller, &metadata, &request.idempotency_key, STREAM, &request, work).await?;
        let Some(answers) = joined else {
            let making = self.admit_stream(&metadata, request).await?;
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
