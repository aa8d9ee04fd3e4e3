//! Pictures as upstreams hand them over, and OpenAI's list of them, in which others answer as well.

use std::borrow::Cow;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    super::{ImageEvent, Usage},
    reading::decoded,
};
use crate::{
    error::ProviderError,
    media::{Downloader, TrustedOrigin},
    upstream::Upstream,
};

/// One picture of an answer, or why it is missing though others may not be.
#[derive(Debug, PartialEq)]
pub(super) struct Item {
    pub(super) picture: Result<Picture, ProviderError>,
    /// Empty where the prompt was left as it was.
    pub(super) revised_prompt: String,
}

/// How a picture came.
#[derive(Debug, PartialEq)]
pub(super) enum Picture {
    Bytes(Bytes),
    Link(String),
}

/// An answer in one piece.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) items: Vec<Item>,
    pub(super) usage: Option<Usage>,
}

/// What the text of an `error` within a success stands for.
pub(super) type Failure = fn(&str) -> ProviderError;

#[derive(Deserialize)]
struct AnswerWire<'a> {
    #[serde(borrow)]
    data: Option<Vec<ItemWire<'a>>>,
    usage: Option<UsageWire>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

#[derive(Deserialize)]
pub(super) struct ItemWire<'a> {
    #[serde(borrow)]
    pub(super) b64_json: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) url: Option<Cow<'a, str>>,
    pub(super) revised_prompt: Option<String>,
    #[serde(borrow)]
    pub(super) error: Option<&'a RawValue>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct UsageWire {
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
pub(super) fn read(body: &[u8], failure: Failure) -> Result<Answer, ProviderError> {
    let AnswerWire { data, usage, error } = serde_json::from_slice(body.trim_ascii())
        .map_err(|error| ProviderError::Unreadable(format!("the upstream's answer is no list of pictures: {error}")))?;
    let items: Vec<_> = data.unwrap_or_default().into_iter().map(|item| item.read(failure)).collect();
    match present(error) {
        Some(error) if items.is_empty() => Err(failure(error)),
        Some(_) | None => Ok(Answer { items, usage: usage.and_then(UsageWire::spent) }),
    }
}

/// The text of an `error`, if there is one.
pub(super) fn present(error: Option<&RawValue>) -> Option<&str> {
    error.map(RawValue::get).filter(|error| *error != "null")
}

impl ItemWire<'_> {
    pub(super) fn read(self, failure: Failure) -> Item {
        let Self { b64_json, url, revised_prompt, error } = self;
        let picture = match (b64_json, url, present(error)) {
            (Some(encoded), ..) if !encoded.is_empty() => decoded(&encoded).map(Picture::Bytes),
            (_, Some(url), _) if url.starts_with("data:") => decoded(&url).map(Picture::Bytes),
            (_, Some(url), _) if !url.is_empty() => Ok(Picture::Link(url.into_owned())),
            (.., Some(error)) => Err(failure(error)),
            (.., None) => Err(ProviderError::Unreadable("the upstream's answer lacks a picture".to_owned())),
        };
        Item { picture, revised_prompt: revised_prompt.unwrap_or_default() }
    }
}

impl UsageWire {
    /// Some tell parts of it only.
    pub(super) fn spent(self) -> Option<Usage> {
        let Self { input_tokens, output_tokens, total_tokens, input_tokens_details } = self;
        input_tokens.or(output_tokens).or(total_tokens)?;
        let told = input_tokens.unwrap_or_default();
        let total = total_tokens.unwrap_or(told.saturating_add(output_tokens.unwrap_or_default()));
        let output = output_tokens.unwrap_or(total.saturating_sub(told));
        let input = input_tokens.unwrap_or(total.saturating_sub(output));
        let input_images = input_tokens_details.unwrap_or_default().image_tokens.unwrap_or_default();
        Some(Usage { input, input_images, output, total })
    }
}

impl Item {
    /// The picture itself, its link followed.
    pub(super) async fn event(
        self,
        index: u32,
        upstream: &Upstream,
        downloads: &Downloader,
        own: &TrustedOrigin,
    ) -> ImageEvent {
        let Self { picture, revised_prompt } = self;
        let picture = match picture {
            Ok(Picture::Bytes(bytes)) => Ok(bytes),
            Ok(Picture::Link(link)) => downloads.picture(&link, own).await.map(|file| file.bytes),
            Err(error) => Err(upstream.redacted(error)),
        };
        match picture {
            Ok(picture) => ImageEvent::Finished { index, picture, revised_prompt },
            Err(error) => ImageEvent::Failed { index, error },
        }
    }
}
