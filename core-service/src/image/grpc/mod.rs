//! The gRPC service for images: admits requests, resolves their input images, and shares the response of repeated requests.
//! `generation` turns the events of the provider into messages.

mod across_nodes;
mod generation;
mod outcomes;

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use futures_util::{
    FutureExt, StreamExt, TryFutureExt, TryStreamExt,
    stream::{self, BoxStream},
};
use prost::Message;
use tonic::{Request, Response, Status};
use triptych_proto::v1::{self as pb, image_service_server::ImageService};
use triptych_telemetry::Modality;

use self::{
    generation::{Generation, response_bytes, response_deadline},
    outcomes::Outcomes,
};
use super::{
    ImageProvider,
    parameters::{Background, ImageParameters, Quality},
    resize::{ImageResizer, Target},
    response::{self, SharedItem},
    validate::{self, Validated},
};
use crate::{
    call::Call,
    config::Price,
    context::{RequestContext, before_deadline},
    error::Error,
    idempotency::{Idempotency, across_nodes::SharedCalls, single_flight::SingleFlight},
    keys::{Keys, Owners},
    ledger::{CallStart, Ledger, write_cost},
    limits::Admission,
    live::Live,
    media::{InputPicture, InputResolver, MediaStore, PictureBudget},
    models::{Entry, Models},
    prices::{self, Attributes, Quantities},
    usd::Usd,
};

/// How many input images of one request are fetched and decoded concurrently.
const INPUTS_AT_ONCE: usize = 4;

/// The output tokens for which money is reserved per image if its price sets no maximum: those of gpt-image-1 in high quality.
const MAX_IMAGE_TOKENS: u64 = 6240;

/// A valid request for an existing model.
#[derive(Clone)]
struct Admitted {
    entry: Arc<Entry<dyn ImageProvider>>,
    request: Validated,
    admission: Admission,
    /// The cost of the unary response, once it is known. Remains unset if the response is that of an earlier request.
    cost: Arc<OnceLock<Usd>>,
}

/// Implementation of [`ImageService`]. Clones share the state.
#[derive(Debug, Clone)]
pub struct ImageGrpc {
    models: Live<Models<dyn ImageProvider>>,
    media_store: MediaStore,
    inputs: InputResolver,
    budget: PictureBudget,
    resizer: ImageResizer,
    single_flight: SingleFlight<SharedItem>,
    /// Shares repeated requests with other nodes; `None` if there is one node.
    shared_calls: Option<SharedCalls>,
    keys: Keys,
    ledger: Ledger,
    /// The maximum size of all images in one message, in bytes.
    max_image_bytes: usize,
}

impl ImageGrpc {
    /// Creates a service for these models. Images that are delivered as links are kept in `media_store`. A
    /// repeated request gets the response of the first one until `idempotency_ttl` after its end; zero disables this.
    pub fn new(
        models: Live<Models<dyn ImageProvider>>,
        media_store: MediaStore,
        inputs: InputResolver,
        budget: PictureBudget,
        idempotency_ttl: Duration,
    ) -> Self {
        Self {
            models,
            media_store,
            inputs,
            resizer: ImageResizer::new(budget.clone()),
            budget,
            single_flight: SingleFlight::new(idempotency_ttl, SharedItem::bytes),
            shared_calls: None,
            keys: Keys::default(),
            ledger: Ledger::default(),
            max_image_bytes: usize::MAX,
        }
    }

    /// Limits the size of a response message. Three quarters of it are for images delivered as bytes; once they are used
    /// up, images are delivered as links. The rest is for the other fields: revised prompts have up to some thousand
    /// characters each.
    #[must_use]
    pub fn with_max_message_bytes(self, max_message_bytes: usize) -> Self {
        Self { max_image_bytes: max_message_bytes / 4 * 3, ..self }
    }

    /// Requires one of these API keys.
    #[must_use]
    pub fn with_keys(self, keys: Keys) -> Self {
        Self { keys, ..self }
    }

    /// Meters requests with this ledger.
    #[must_use]
    pub fn with_ledger(self, ledger: Ledger) -> Self {
        Self { ledger, ..self }
    }

    /// Shares the responses of repeatable requests with the other nodes of the database; `None` if there are none.
    #[must_use]
    pub(crate) fn with_shared_calls(self, shared_calls: Option<SharedCalls>) -> Self {
        Self { shared_calls, ..self }
    }

    /// Ends the shared requests that are in flight and waits for them.
    pub async fn close(&self) {
        self.single_flight.close().await;
    }

    /// Validates a request and finds its model.
    fn validated(
        &self,
        image: Option<pb::ImageRequest>,
        partial_images: u32,
        context: &RequestContext,
    ) -> Result<(Arc<Entry<dyn ImageProvider>>, Validated), Error> {
        let image = image.ok_or_else(|| Error::invalid("image", "is required"))?;
        let entry = self.models.load().find(&image.model, |model| context.caller.may_call(model))?;
        entry.report(Modality::Image, &context.report);
        let request = validate::validate_request(image, partial_images)?;
        let Validated { pictures, mask, .. } = &request;
        validate::check_edit_support(
            &entry.id,
            entry.provider.edits(&entry.upstream_model),
            pictures.len(),
            mask.is_some(),
        )?;
        Ok((entry, request))
    }

    /// Validates a request, finds its model, and counts the call against the limits of the caller.
    fn admit(
        &self,
        image: Option<pb::ImageRequest>,
        partial_images: u32,
        context: &RequestContext,
    ) -> Result<Admitted, Error> {
        let (entry, request) = self.validated(image, partial_images, context)?;
        // Image requests do not count against limits of tokens.
        let admission = context.caller.admit(&entry.id, || 0)?;
        Ok(Admitted { entry, request, admission, cost: Arc::default() })
    }

    /// Returns the cost that a request would reserve at the current prices. Its input images are neither read nor fetched, and
    /// nothing counts against the limits of the caller.
    ///
    /// # Errors
    /// Those of `GenerateImages` for an invalid request, except for its input images.
    pub(crate) fn estimate(
        &self,
        context: &RequestContext,
        image: Option<pb::ImageRequest>,
    ) -> Result<pb::ImageEstimate, Error> {
        let (entry, Validated { parameters, .. }) = self.validated(image, 0, context)?;
        context.caller.check_model(&entry.id)?;
        let CallStart { modality, model, attributes, .. } = call_start(context, &entry, &parameters);
        let highest = self.ledger.prices().of_model(modality, model).highest(&attributes, max_quantities(&parameters));
        let (price, cost) = highest.unzip();
        Ok(pb::ImageEstimate {
            model: entry.id.clone(),
            cost_micros: cost.map(Usd::micros),
            price_version: price.map(|price| prices::version(&price)).unwrap_or_default(),
            n: parameters.n,
            size: parameters.size.map_or_else(|| "auto".to_owned(), |size| size.to_string()),
            quality: parameters.quality.as_str().to_owned(),
        })
    }

    /// Reserves the money of a request, resolves its input images and starts the generation.
    async fn start(&self, context: RequestContext, admitted: Admitted) -> Result<Generation, Error> {
        let Admitted { entry, request, admission, cost: _ } = admitted;
        let Validated { parameters, pictures, mask, delivery, keep_original } = request;
        let meter = self.ledger.begin(call_start(&context, &entry, &parameters), max_quantities(&parameters)).await?;
        let target = Target {
            size: parameters.size,
            encoding: parameters.format,
            opaque: parameters.background == Background::Opaque,
            keep_original,
        };
        let (outcomes, deadline) = (Outcomes::new(parameters.n), context.deadline);
        let report = context.report.clone();
        let media_store = self.media_store.owned_by(&context.caller.owner());
        let events = before_deadline(deadline, async {
            let request = self.with_inputs(parameters, pictures, mask, &context.caller.owners()).await?;
            // Before the provider is called: images that may have been billed are never refused.
            let memory = self.budget.response(response_bytes(&request, delivery)).await;
            let call = Call { model: entry.upstream_model.clone(), request, context };
            Ok((entry.provider.generate(call).await?, memory))
        });
        let (events, memory) = events.await.inspect_err(|_| meter.fail())?;
        Ok(Generation {
            events,
            outcomes,
            model: entry.id.clone(),
            target,
            delivery,
            deadline,
            // A stream has one image in each message; only unary responses are limited.
            bytes_left: usize::MAX,
            memory,
            _admission: admission,
            meter,
            used: Quantities::default(),
            reported_cost: Usd::ZERO,
            report,
            resizer: self.resizer.clone(),
            media_store,
        })
    }

    /// Fetches and checks the input images and the mask.
    async fn with_inputs(
        &self,
        mut parameters: ImageParameters,
        pictures: Vec<pb::MediaInput>,
        mask: Option<pb::MediaInput>,
        owners: &Owners,
    ) -> Result<ImageParameters, Error> {
        let inputs = &self.inputs;
        let pictures = stream::iter(pictures)
            .enumerate()
            .map(|(index, input)| async move { inputs.resolve(&format!("pictures[{index}]"), input, owners).await });
        let pictures: Vec<InputPicture> = pictures.buffered(INPUTS_AT_ONCE).try_collect().await?;
        if let (Some(mask), Some(first)) = (mask, pictures.first()) {
            let mask = inputs.resolve("mask", mask, owners).await?;
            validate::check_mask(&mask, first)?;
            parameters.mask = Some(mask);
        }
        parameters.pictures = pictures;
        Ok(parameters)
    }

    /// Generates all images of a request and returns them in one response.
    async fn generate(&self, context: RequestContext, admitted: Admitted) -> Result<pb::GenerateImagesResponse, Error> {
        let response_deadline = context.deadline.map(response_deadline);
        let cost = Arc::clone(&admitted.cost);
        let generation = self.start(context, admitted).await?;
        let meter = generation.meter.clone();
        let response = Generation { bytes_left: self.max_image_bytes, ..generation }.unary(response_deadline).await?;
        if let Some(amount) = meter.settle() {
            // Never fails: each request is generated once.
            let _ = cost.set(amount);
        }
        Ok(response)
    }

    /// Returns the messages of a streamed response. The generation starts when the stream is polled.
    fn stream(
        &self,
        context: RequestContext,
        admitted: Admitted,
    ) -> BoxStream<'static, Result<pb::StreamImagesResponse, Error>> {
        let service = self.clone();
        let start = async move { service.start(context, admitted).await.map(Generation::into_stream) };
        start.try_flatten_stream().boxed()
    }

    /// Returns the shared response to a repeatable request (see [`Idempotency`]); `None` if the request is not repeatable. `work`
    /// is executed for the first request only. Each client waits until its own deadline; the work has none.
    async fn shared<R: Message + Clone + 'static>(
        &self,
        context: &RequestContext,
        method: &'static str,
        request: &R,
        work: impl FnOnce(RequestContext) -> BoxStream<'static, Result<SharedItem, Error>>,
    ) -> Result<Option<BoxStream<'static, Result<SharedItem, Error>>>, Error> {
        if !self.single_flight.is_enabled() {
            return Ok(None);
        }
        let Some(call) = Idempotency::from_request(context, method, request).await else { return Ok(None) };
        let deadline = context.deadline;
        if let Some(cached) = self.single_flight.cached(&call)
            && !self.has_media_of(cached.items()).await
        {
            tracing::info!("a stored image of a cached response was removed; the request is executed again");
            self.single_flight.forget(&cached);
        }
        let context = RequestContext { deadline: None, ..context.clone() };
        let items = self.single_flight.join_or_start(call.clone(), || match &self.shared_calls {
            Some(calls) => self.across_nodes(calls.clone(), call, work(context)),
            None => work(context),
        })?;
        let items = stream::try_unfold(items, move |mut items| async move {
            let next = before_deadline(deadline, async { items.try_next().await }).await?;
            Ok(next.map(|item| (item, items)))
        });
        Ok(Some(items.boxed()))
    }

    /// Returns whether the media files that a cached response refers to still exist; a file that cannot be checked counts as
    /// existing. Reading their metadata renews their retention.
    async fn has_media_of(&self, items: &[SharedItem]) -> bool {
        for key in items.iter().flat_map(SharedItem::media_keys) {
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
        let pb::GenerateImagesRequest { image, idempotency_key: _ } = request.clone();
        let admitted = self.admit(image, 0, &context)?;
        let (admission, cost) = (admitted.admission.clone(), Arc::clone(&admitted.cost));
        let work = |context: RequestContext| {
            let (service, admitted) = (self.clone(), admitted.clone());
            let response = async move { service.generate(context, admitted).await.map(SharedItem::Unary) };
            response.into_stream().boxed()
        };
        let Some(mut items) = self.shared(&context, "GenerateImages", &request, work).await? else {
            return with_rate_limits(&admission, self.generate(context, admitted).await)
                .map(|response| with_cost(response, &cost));
        };
        let response = match items.try_next().await {
            Ok(Some(SharedItem::Unary(response))) => Ok(response),
            Ok(Some(SharedItem::Streamed(_)) | None) => {
                Err(Error::Internal("a shared unary request has no response".to_owned()))
            }
            Err(error) => Err(error),
        };
        with_rate_limits(&admission, response).map(|response| with_cost(response, &cost))
    }

    type StreamImagesStream = BoxStream<'static, Result<pb::StreamImagesResponse, Status>>;

    async fn stream_images(
        &self,
        request: Request<pb::StreamImagesRequest>,
    ) -> Result<Response<Self::StreamImagesStream>, Status> {
        let context = RequestContext::new(&request, &self.keys, &request.get_ref().idempotency_key)?;
        let request = request.into_inner();
        let pb::StreamImagesRequest { image, idempotency_key: _, partial_images } = request.clone();
        let admitted = self.admit(image, partial_images, &context)?;
        let admission = admitted.admission.clone();
        // Set before the client gets the first item if this request is the one that is executed and paid for.
        let is_paid = Arc::new(AtomicBool::new(false));
        let work = |context: RequestContext| {
            let is_paid = Arc::clone(&is_paid);
            let messages = self.stream(context, admitted.clone()).map_ok(SharedItem::Streamed);
            messages.inspect(move |_| is_paid.store(true, Ordering::Relaxed)).boxed()
        };
        // Validation errors are the status of the call; later errors are items of the stream, so that clients get its metadata at
        // once.
        let Some(items) = self.shared(&context, "StreamImages", &request, work).await? else {
            return with_rate_limits(&admission, Ok(self.stream(context, admitted).map_err(Status::from).boxed()));
        };
        // Moved into the stream, so that the call counts as in flight until the stream is dropped.
        let in_flight = admission.clone();
        let messages = items.map(move |item| match item {
            Ok(SharedItem::Streamed(message)) if is_paid.load(Ordering::Relaxed) => Ok(message),
            Ok(SharedItem::Streamed(message)) => Ok(response::without_cost(message)),
            Ok(SharedItem::Unary(_)) => Err(Error::Internal("a shared stream has a unary response".to_owned()).into()),
            Err(error) => Err(error.into()),
        });
        with_rate_limits(&admission, Ok(messages.inspect(move |_| _ = &in_flight).boxed()))
    }
}

fn with_cost<T>(mut response: Response<T>, cost: &OnceLock<Usd>) -> Response<T> {
    write_cost(cost.get().copied(), response.metadata_mut());
    response
}

/// Describes a request for the ledger: who pays, for which model, and the attributes on which the price depends.
fn call_start<'a>(
    context: &'a RequestContext,
    entry: &'a Entry<dyn ImageProvider>,
    parameters: &ImageParameters,
) -> CallStart<'a> {
    CallStart {
        payer: context.caller.payer(),
        modality: pb::Modality::Image,
        model: entry.price_names(),
        attributes: Attributes {
            resolution: entry.provider.resolution(&entry.upstream_model, parameters).map(str::to_owned),
            size: parameters.size,
            quality: (parameters.quality != Quality::Auto).then(|| parameters.quality.as_str()),
            ..Attributes::default()
        },
    }
}

/// Returns a function from a price to the maximum quantities that a request can use, for which money is reserved.
fn max_quantities(parameters: &ImageParameters) -> impl Fn(&Price) -> Quantities + use<> {
    let images = u64::from(parameters.n);
    // Estimated: four bytes of text are about a token.
    let input_tokens = (parameters.prompt.len() / 4) as u64;
    move |price| {
        let output_tokens = images.saturating_mul(price.max_output_tokens.unwrap_or(MAX_IMAGE_TOKENS));
        Quantities { input_tokens, output_tokens, images, ..Quantities::default() }
    }
}

/// Returns the response or the status of a call, with the state of the caller's rate limits in its metadata.
fn with_rate_limits<T>(admission: &Admission, result: Result<T, Error>) -> Result<Response<T>, Status> {
    match result {
        Ok(message) => Ok(admission.response(message)),
        Err(error) => {
            let mut status = Status::from(error);
            admission.write(status.metadata_mut());
            Err(status)
        }
    }
}

#[cfg(test)]
mod tests;
