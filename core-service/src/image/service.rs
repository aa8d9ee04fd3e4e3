//! The gRPC door of the image panel.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use futures_util::{
    FutureExt, Stream, StreamExt, TryStreamExt,
    stream::{self, BoxStream},
};
use prost::Message;
use tokio::time::{Instant, timeout_at};
use tonic::{Request, Response, Status, metadata::MetadataMap};
use triptych_proto::v1::{self as pb, image_service_server::ImageService, stream_images_response::Event};

use super::{
    Background, ImageEvent, ImageSpec,
    answer::{Answer, in_message, in_words},
    fit::{Fitted, Fitter, Wish},
    joined::{self, Joined},
    ledger::Ledger,
    validate::{self, Checked, Delivery},
};
use crate::{
    call::{self, Call, Chunks},
    catalog::Catalog,
    error::{Error, ProviderError},
    keys::{Caller, Keys},
    media::{InputPicture, Inputs, Vault},
};

/// The two calls, told apart where a request is joined.
const WHOLE: u8 = 0;
const STREAM: u8 = 1;

/// How long before a deadline the pictures that are finished by then are handed over: a twentieth of the time there was,
/// and no more than this. The deadline is also kept further out, by the transport of either side, which began to count
/// earlier and throws away whatever has not come back by then.
const EARLY: Duration = Duration::from_secs(1);

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

/// A request on its way: who makes the pictures, and how they are handed over.
struct Admitted {
    events: Chunks<ImageEvent>,
    ledger: Ledger,
    /// The public name of the model.
    model: String,
    wish: Wish,
    delivery: Delivery,
    deadline: Option<Instant>,
    /// How many bytes of pictures the message they go in still takes.
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
    ) -> Result<Admitted, Error> {
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
        Ok(Admitted { events, ledger, model: entry.id.clone(), wish, delivery, deadline, room: usize::MAX })
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

    /// The provider's next picture or preview in the contract's words; `None` once it has no more. Given up before its
    /// end, it loses that event, and the ledger knows nothing of it.
    async fn next(&self, admitted: &mut Admitted) -> Result<Option<Event>, Error> {
        // Nothing that comes behind the last picture is worth waiting for.
        while !admitted.ledger.is_settled()
            && let Some(event) = admitted.events.try_next().await?
        {
            let created = call::unix_now();
            match event {
                ImageEvent::Preview { index, partial, picture } => {
                    admitted.ledger.preview(index)?;
                    let wish = Wish { original: false, ..admitted.wish };
                    match self.fitter.fit(picture, wish).await {
                        Ok(Fitted { picture, .. }) => {
                            let picture = Some(in_words(picture, String::new()));
                            let preview =
                                pb::ImagePreview { picture_index: index, partial_index: partial, picture, created };
                            return Ok(Some(Event::Preview(preview)));
                        }
                        // The picture itself may be sound all the same.
                        Err(error) => tracing::debug!(%error, "a preview is left out"),
                    }
                }
                ImageEvent::Finished { index, picture, revised_prompt } => {
                    let fitted = match self.fitter.fit(picture, admitted.wish).await {
                        Ok(fitted) => fitted,
                        // The others may be sound all the same.
                        Err(error) => {
                            admitted.ledger.failed(index, error)?;
                            continue;
                        }
                    };
                    let picture = Some(self.hand_over(admitted, fitted, revised_prompt).await?);
                    admitted.ledger.finished(index)?;
                    let finished = pb::ImageFinished { picture_index: index, picture, created, usage: None };
                    return Ok(Some(Event::Finished(finished)));
                }
                ImageEvent::Failed { index, error } => admitted.ledger.failed(index, error)?,
                ImageEvent::Usage(usage) => admitted.ledger.spent(usage),
            }
        }
        Ok(None)
    }

    async fn hand_over(
        &self,
        admitted: &mut Admitted,
        fitted: Fitted,
        revised_prompt: String,
    ) -> Result<pb::Picture, Error> {
        let Fitted { picture, original } = fitted;
        let original_media_key = match original {
            Some(original) => self.vault.put_content(original.data, original.media_type).await?.key,
            None => String::new(),
        };
        let (data, media_type) = (picture.data.clone(), picture.media_type);
        let picture = pb::Picture { original_media_key, ..in_words(picture, revised_prompt) };
        if admitted.delivery == Delivery::Bytes
            && let Some(room) = admitted.room.checked_sub(data.len())
        {
            admitted.room = room;
            return Ok(picture);
        }
        let media_key = self.vault.put_content(data, media_type).await?.key;
        Ok(pb::Picture { data: bytes::Bytes::new(), media_key, ..picture })
    }

    /// The next event of a stream: previews and pictures as they come, then the failures of those that did not.
    async fn step(&self, stage: Stage) -> Result<Option<(Event, Stage)>, Error> {
        let mut failures = match stage {
            Stage::Ending(failures) => failures,
            Stage::Making(mut admitted) => match self.next(&mut admitted).await {
                Ok(Some(Event::Finished(finished))) => {
                    let usage = admitted.ledger.usage();
                    let event = Event::Finished(pb::ImageFinished { usage, ..finished });
                    return Ok(Some((event, Stage::Making(admitted))));
                }
                Ok(Some(event)) => return Ok(Some((event, Stage::Making(admitted)))),
                Ok(None) => admitted.ledger.close(None)?.into_iter(),
                Err(error) => return Err(error),
            },
        };
        Ok(failures.next().map(|failure| (Event::Failed(failure), Stage::Ending(failures))))
    }
}

/// How far a stream of pictures has come.
enum Stage {
    Making(Box<Admitted>),
    Ending(std::vec::IntoIter<pb::ImageFailure>),
}

impl Stage {
    fn deadline(&self) -> Option<Instant> {
        match self {
            Self::Making(admitted) => admitted.deadline,
            Self::Ending(_) => None,
        }
    }
}

impl ImageDoor {
    /// All pictures of a request at once.
    async fn generate(
        &self,
        metadata: &MetadataMap,
        request: pb::GenerateImagesRequest,
    ) -> Result<pb::GenerateImagesResponse, Error> {
        let pb::GenerateImagesRequest { image, idempotency_key } = request;
        let early = call::deadline(metadata).map(early);
        let mut admitted = self.admit(metadata, image, idempotency_key, 0).await?;
        admitted.room = self.room;
        let mut pictures = BTreeMap::new();
        let cause = loop {
            // With a picture in hand there is something to answer, and it has to get back in time.
            let until = if pictures.is_empty() { admitted.deadline } else { early };
            match in_time(until, self.next(&mut admitted)).await {
                Ok(Some(Event::Finished(pb::ImageFinished { picture_index, picture, .. }))) => {
                    pictures.insert(picture_index, picture.unwrap_or_default());
                }
                Ok(Some(Event::Preview(_) | Event::Failed(_))) => {}
                Ok(None) => break None,
                // What is made, and perhaps paid, is handed over all the same.
                Err(Error::Provider(error)) if !pictures.is_empty() => break Some(error),
                Err(error) => return Err(error),
            }
        };
        let Admitted { mut ledger, model, .. } = admitted;
        let usage = ledger.usage();
        let failures = ledger.close(cause)?;
        let pictures = pictures.into_values().collect();
        Ok(pb::GenerateImagesResponse { created: call::unix_now(), model, pictures, usage, failures })
    }

    /// The pictures of an admitted request as they come. An error is the last item and ends the provider's work.
    fn events(self, admitted: Admitted) -> impl Stream<Item = Result<Event, Error>> + Send + 'static {
        stream::try_unfold(Stage::Making(Box::new(admitted)), move |stage| {
            let door = self.clone();
            async move { in_time(stage.deadline(), door.step(stage)).await }
        })
    }

    async fn admit_stream(&self, metadata: &MetadataMap, request: pb::StreamImagesRequest) -> Result<Admitted, Error> {
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
            let admitted =
                async move { Ok::<_, Error>(door.clone().events(door.admit_stream(&metadata, request).await?)) };
            admitted.into_stream().try_flatten().map_ok(Answer::Event).boxed()
        };
        let joined = self.joined(&caller, &metadata, &request.idempotency_key, STREAM, &request, work).await?;
        let Some(answers) = joined else {
            let admitted = self.admit_stream(&metadata, request).await?;
            return Ok(Response::new(self.clone().events(admitted).map(in_message).boxed()));
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

/// When what there is by then is handed over, so that it is back before this deadline.
fn early(deadline: Instant) -> Instant {
    let left = deadline.saturating_duration_since(Instant::now());
    deadline - EARLY.min(left / 20)
}

/// Ends the work at the caller's deadline; dropping it ends the provider's.
async fn in_time<T>(deadline: Option<Instant>, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    let Some(deadline) = deadline else { return work.await };
    timeout_at(deadline, work).await.unwrap_or_else(|_| {
        Err(ProviderError::Timeout("the deadline passed before the pictures were finished".to_owned()).into())
    })
}

#[cfg(test)]
mod tests;
