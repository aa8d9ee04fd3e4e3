//! What upstreams answer: pictures as base64 or links, whole or in events, and failures wherever they put them.

use std::borrow::Cow;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::super::{
    super::Usage,
    picture::{self, Answer, Item, ItemWire, UsageWire, present},
    reading::decoded,
};
use crate::{error::ProviderError, upstream::failure_in_reply};

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

/// Reads an answer in one piece.
pub(super) fn read(body: &[u8]) -> Result<Answer, ProviderError> {
    picture::read(body, failure_in_reply)
}

/// Reads the data of one event.
pub(super) fn read_event(data: &[u8]) -> Result<Told, ProviderError> {
    let nonsense = |error: &dyn std::fmt::Display| {
        ProviderError::Unreadable(format!("an event of the upstream's stream makes no sense: {error}"))
    };
    let EventWire { kind, partial_image_index, usage, b64_json, url, revised_prompt, error } =
        serde_json::from_slice(data).map_err(|error| nonsense(&error))?;
    if let Some(error) = present(error) {
        return Err(failure_in_reply(error));
    }
    match kind.as_deref().unwrap_or_default() {
        "error" => Err(failure_in_reply(&String::from_utf8_lossy(data))),
        kind if kind.ends_with(".partial_image") => {
            let encoded = b64_json.ok_or_else(|| nonsense(&"a preview without a picture"))?;
            Ok(Told::Preview { partial: partial_image_index.unwrap_or_default(), picture: decoded(&encoded)? })
        }
        kind if kind.ends_with(".completed") => {
            let item = ItemWire { b64_json, url, revised_prompt, error }.read(failure_in_reply);
            Ok(Told::Finished { item, usage: usage.and_then(UsageWire::spent) })
        }
        _ => Ok(Told::Nothing),
    }
}
