//! The conversation that a request continues: the items of earlier responses, and single items that it refers to.

use std::collections::HashMap;

use openai_dialect::responses::{Item, response_of_item};
use serde_json::value::RawValue;

use super::store::{ChainedResponse, ResponseStatus, ResponseStore};
use crate::{error::Error, keys::Owners};

/// The longest chain of responses.
const MAX_DEPTH: usize = 1000;
/// The most text of all items of a chain or of all referenced responses, in bytes. Models accept less.
const MAX_BYTES: usize = 32 << 20;

/// The conversation before a request.
#[derive(Debug, Default)]
pub(super) struct History {
    /// The items of all responses, input and output, the oldest first.
    pub(super) items: Vec<Item>,
    /// The ids of the responses, the newest first.
    pub(super) responses: Vec<String>,
}

/// Reads the response with this id and all that it continues.
///
/// # Errors
/// [`Error::PreviousResponseNotFound`] if one of them does not exist for these owners; [`Error::InvalidField`] if the response has not
/// ended or has failed, or if the chain is too long; [`Error::Storage`].
pub(super) async fn read(store: &ResponseStore, id: &str, owners: &Owners) -> Result<History, Error> {
    let (mut chain, mut bytes) = (Vec::new(), 0);
    let mut current = id.to_owned();
    loop {
        let missing = || Error::PreviousResponseNotFound {
            id: id.to_owned(),
            why: if chain.is_empty() {
                String::new()
            } else {
                format!(
                    " It continues the response `{current}`, which was deleted or has expired; send the conversation in `input` \
                     instead."
                )
            },
        };
        let response = store.chained(&current, owners).await?.ok_or_else(missing)?;
        if chain.is_empty() {
            check_can_be_continued(&response)?;
        }
        bytes += response.input_items.len() + response.output_items.len();
        if bytes > MAX_BYTES || chain.len() == MAX_DEPTH {
            let message = format!(
                "the response `{id}` continues more than {MAX_DEPTH} responses, or more than {MAX_BYTES} bytes of items; begin a new \
                 conversation, with a summary in `input`"
            );
            return Err(Error::invalid("previous_response_id", message));
        }
        let previous = response.previous_id.clone();
        chain.push(response);
        match previous {
            Some(previous) => current = previous,
            None => break,
        }
    }
    let mut items = Vec::new();
    for response in chain.iter().rev() {
        items.extend(parse_items(&response.input_items)?);
        items.extend(parse_items(&response.output_items)?);
    }
    Ok(History { items, responses: chain.into_iter().map(|response| response.id).collect() })
}

fn check_can_be_continued(response: &ChainedResponse) -> Result<(), Error> {
    let why = match response.status {
        ResponseStatus::Completed | ResponseStatus::Incomplete => return Ok(()),
        ResponseStatus::Queued | ResponseStatus::InProgress => "is not finished; wait for its end",
        ResponseStatus::Failed => "has failed; continue the response before it",
        ResponseStatus::Cancelled => "was cancelled; continue the response before it",
    };
    Err(Error::invalid("previous_response_id", format!("the response `{}` {why}", response.id)))
}

/// Reads the items with these ids that are not part of the history. Those that do not exist for these owners are left out.
///
/// # Errors
/// [`Error::InvalidField`] if their responses are too long; [`Error::Storage`].
pub(super) async fn referenced(
    store: &ResponseStore,
    ids: &[String],
    history: &History,
    owners: &Owners,
) -> Result<Vec<Item>, Error> {
    let mut responses: HashMap<String, Vec<Item>> = HashMap::new();
    let (mut items, mut bytes) = (Vec::new(), 0);
    for id in ids {
        if history.items.iter().any(|item| item.id() == id) {
            continue;
        }
        let Some(response) = response_of_item(id) else { continue };
        if !responses.contains_key(&response) {
            let mut all = Vec::new();
            if let Some(chained) = store.chained(&response, owners).await? {
                bytes += chained.input_items.len() + chained.output_items.len();
                if bytes > MAX_BYTES {
                    let message = format!(
                        "refers to items of responses with more than {MAX_BYTES} bytes; send the items themselves"
                    );
                    return Err(Error::invalid("input", message));
                }
                all.extend(parse_items(&chained.input_items)?);
                all.extend(parse_items(&chained.output_items)?);
            }
            responses.insert(response.clone(), all);
        }
        let found = responses.get(&response).and_then(|all| all.iter().find(|item| item.id() == id));
        items.extend(found.cloned());
    }
    Ok(items)
}

/// Reads a stored JSON array of items.
///
/// # Errors
/// [`Error::Storage`] if the text is no such array.
pub(super) fn parse_items(json: &str) -> Result<Vec<Item>, Error> {
    let unreadable = || Error::Storage("the items of a stored response cannot be read".to_owned());
    let items: Vec<&RawValue> = serde_json::from_str(json).map_err(|_| unreadable())?;
    items.into_iter().map(|item| Item::from_json(item.get()).ok_or_else(unreadable)).collect()
}

/// Writes items as a JSON array.
pub(super) fn items_to_json<'a>(items: impl IntoIterator<Item = &'a Item>) -> String {
    let items: Vec<_> = items.into_iter().map(Item::to_json).collect();
    format!("[{}]", items.join(","))
}
