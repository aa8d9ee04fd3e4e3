//! Prepares the request of a response: parses it, reads the conversation that it continues, and translates it into a chat request.

use openai_dialect::responses::{Event, Item, ResponseRequest, ResponseWriter};
use serde_json::Value;
use triptych_proto::v1 as pb;
use uuid::Uuid;

use super::{
    calls::ModelCalls,
    failure,
    history::{self, History},
    store::{ResponseStore, StoredEvent, StoredResponse},
};
use crate::{error::Error, keys::Caller, video::time::Timestamp};

/// The name under which the hosted tool is offered to models.
const IMAGE_TOOL: &str = "image_generation";

/// A valid request with everything that its execution needs.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) id: String,
    pub(super) created_at: Timestamp,
    pub(super) request: ResponseRequest,
    /// The public name of the model.
    pub(super) model: String,
    /// The request for the first call of the model.
    pub(super) chat: pb::ChatRequest,
    pub(super) input_items: Vec<Item>,
    /// The images of the conversation that an edit by the hosted tool applies to, as URLs. Empty without the tool.
    pub(super) images: Vec<String>,
    /// The responses that this one continues, the newest first.
    pub(super) predecessors: Vec<String>,
}

impl Prepared {
    /// Reads a new request of this caller.
    ///
    /// # Errors
    /// [`Error::InvalidField`]; [`Error::PreviousResponseNotFound`]; [`Error::ModelNotFound`]; [`Error::ModelNotAllowed`];
    /// [`Error::Storage`].
    pub(super) async fn from_request(
        text: &str,
        caller: &Caller,
        store: &ResponseStore,
        calls: &ModelCalls,
    ) -> Result<Box<Self>, Error> {
        Self::read(text, new_id(), store.now(), caller, store, calls).await
    }

    /// Reads the request of a stored response again, to generate it.
    ///
    /// # Errors
    /// As for [`from_request`](Self::from_request); for example, the model may have been removed since.
    pub(super) async fn from_stored(
        stored: &StoredResponse,
        caller: &Caller,
        store: &ResponseStore,
        calls: &ModelCalls,
    ) -> Result<Box<Self>, Error> {
        Self::read(&stored.request, stored.id.clone(), stored.created_at, caller, store, calls).await
    }

    async fn read(
        text: &str,
        id: String,
        created_at: Timestamp,
        caller: &Caller,
        store: &ResponseStore,
        calls: &ModelCalls,
    ) -> Result<Box<Self>, Error> {
        let request = ResponseRequest::parse(text).map_err(failure::invalid)?;
        let model = calls.chat.public_name(request.model(), caller)?;
        let owners = caller.owners();
        let history = match request.previous_response_id() {
            Some(previous) => history::read(store, previous, &owners).await?,
            None => History::default(),
        };
        let referenced = history::referenced(store, &request.references(), &history, &owners).await?;
        let chat = request.to_chat(&history.items, &referenced).map_err(failure::invalid)?;
        let input_items = request.input_items(&id, &history.items, &referenced);
        let has_image_tool =
            chat.tools.iter().filter_map(|tool| tool.function.as_ref()).any(|tool| tool.name == IMAGE_TOOL);
        let images = if has_image_tool {
            request.conversation_images(&history.items, &referenced).map_err(failure::invalid)?
        } else {
            Vec::new()
        };
        let predecessors = history.responses;
        // Boxed, because it is part of large futures.
        Ok(Box::new(Self { id, created_at, request, model, chat, input_items, images, predecessors }))
    }

    /// Returns the writer of the response.
    pub(super) fn writer(&self) -> ResponseWriter {
        writer(&self.request, self.id.clone(), self.created_at, self.model.clone())
    }
}

fn writer(request: &ResponseRequest, id: String, created_at: Timestamp, model: String) -> ResponseWriter {
    ResponseWriter::new(request, id, created_at.0.div_euclid(1000), model)
}

/// Returns the writer of a stored response, to end it without a further call. `response` is its response object, which has the public
/// name of the model.
pub(super) fn stored_writer(
    request: &ResponseRequest,
    id: &str,
    created_at: Timestamp,
    response: &str,
) -> ResponseWriter {
    let response: Option<Value> = serde_json::from_str(response).ok();
    let model = response.as_ref().and_then(|response| response.get("model")?.as_str());
    writer(request, id.to_owned(), created_at, model.unwrap_or(request.model()).to_owned())
}

/// Returns an event as it is stored.
pub(super) fn to_stored(event: &Event) -> StoredEvent {
    let Event { sequence_number, name, data } = event;
    StoredEvent { sequence_number: *sequence_number, kind: (*name).to_owned(), data: data.clone() }
}

/// Returns a new id, `resp_` and 48 hexadecimal digits: the ids of items are derived from the digits.
fn new_id() -> String {
    let (first, second) = (Uuid::new_v4().simple().to_string(), Uuid::new_v4().simple().to_string());
    format!("resp_{first}{}", &second[..16])
}
