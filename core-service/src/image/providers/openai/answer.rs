//! What upstreams answer: pictures as base64 or links, whole or in events, and failures wherever they put them.

use std::borrow::Cow;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::super::{super::Usage, reading::decoded};
use crate::{error::ProviderError, upstream::failure_in_reply};

/// An answer in one piece.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) items: Vec<Item>,
    pub(super) usage: Option<Usage>,
}

/// One picture of an answer.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) picture: Picture,
    pub(super) revised_prompt: String,
}

/// How a picture came.
#[derive(Debug)]
pub(super) enum Picture {
    Bytes(Bytes),
    Link(String),
    /// Not at all, though others may have.
    Failed(ProviderError),
}

/// What an event tells.
#[derive(Debug, Default)]
pub(super) enum Told {
    Preview {
        partial: u32,
        picture: Bytes,
    },
    Finished {
        item: Item,
        usage: Option<Usage>,
    },
    /// Nothing that is known here.
    #[default]
    Nothing,
}

#[derive(Deserialize)]
struct WholeWire<'a> {
    #[serde(borrow)]
    data: Option<Vec<ItemWire<'a>>>,
    usage: Option<UsageWire>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct ItemWire<'a> {
    #[serde(borrow)]
    b64_json: Option<Cow<'a, str>>,
    #[serde(borrow)]
    url: Option<Cow<'a, str>>,
    revised_prompt: Option<String>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct EventWire<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<Cow<'a, str>>,
    partial_image_index: Option<u32>,
    usage: Option<UsageWire>,
    #[serde(borrow)]
    b64_json: Option<Cow<'a, str>>,
    #[serde(borrow)]
    url: Option<Cow<'a, str>>,
    revised_prompt: Option<String>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct UsageWire {
    input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    total_tokens: Option<u64>,
    input_tokens_details: Option<DetailsWire>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct DetailsWire {
    image_tokens: Option<u64>,
}

/// Reads an answer in one piece.
pub(super) fn read(body: &[u8]) -> Result<Answer, ProviderError> {
    let WholeWire { data, usage, error } = serde_json::from_slice(body.trim_ascii())
        .map_err(|error| ProviderError::Unreadable(format!("the upstream's answer is no list of pictures: {error}")))?;
    let items: Vec<_> = data.unwrap_or_default().into_iter().map(item).collect();
    match error {
        Some(error) if items.is_empty() && error.get() != "null" => Err(failure_in_reply(error.get())),
        Some(_) | None => Ok(Answer { items, usage: usage.and_then(spent) }),
    }
}

/// Reads the data of one event.
pub(super) fn read_event(data: &[u8]) -> Result<Told, ProviderError> {
    let nonsense = |error: &dyn std::fmt::Display| {
        ProviderError::Unreadable(format!("an event of the upstream's stream makes no sense: {error}"))
    };
    let EventWire { kind, partial_image_index, usage, b64_json, url, revised_prompt, error } =
        serde_json::from_slice(data).map_err(|error| nonsense(&error))?;
    if let Some(error) = error.filter(|error| error.get() != "null") {
        return Err(failure_in_reply(error.get()));
    }
    match kind.as_deref().unwrap_or_default() {
        "error" => Err(failure_in_reply(&String::from_utf8_lossy(data))),
        kind if kind.ends_with(".partial_image") => {
            let encoded = b64_json.ok_or_else(|| nonsense(&"a preview without a picture"))?;
            Ok(Told::Preview { partial: partial_image_index.unwrap_or_default(), picture: decoded(&encoded)? })
        }
        kind if kind.ends_with(".completed") => {
            let item = item(ItemWire { b64_json, url, revised_prompt, error });
            Ok(Told::Finished { item, usage: usage.and_then(spent) })
        }
        _ => Ok(Told::Nothing),
    }
}

fn item(wire: ItemWire<'_>) -> Item {
    let ItemWire { b64_json, url, revised_prompt, error } = wire;
    let bytes = |encoded: &str| decoded(encoded).map_or_else(Picture::Failed, Picture::Bytes);
    let picture = match (b64_json, url, error) {
        (Some(encoded), _, _) if !encoded.is_empty() => bytes(&encoded),
        (_, Some(url), _) if url.starts_with("data:") => bytes(&url),
        (_, Some(url), _) if !url.is_empty() => Picture::Link(url.into_owned()),
        (_, _, Some(error)) if error.get() != "null" => Picture::Failed(failure_in_reply(error.get())),
        (..) => Picture::Failed(ProviderError::Unreadable("the upstream's answer lacks a picture".to_owned())),
    };
    Item { picture, revised_prompt: revised_prompt.unwrap_or_default() }
}

fn spent(wire: UsageWire) -> Option<Usage> {
    let UsageWire { input_tokens, output_tokens, total_tokens, input_tokens_details } = wire;
    input_tokens.or(output_tokens).or(total_tokens)?;
    let (input, output) = (input_tokens.unwrap_or_default(), output_tokens.unwrap_or_default());
    let input_images = input_tokens_details.unwrap_or_default().image_tokens.unwrap_or_default();
    Some(Usage { input, input_images, output, total: total_tokens.unwrap_or(input.saturating_add(output)) })
}
