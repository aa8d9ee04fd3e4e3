//! Gemini's responses: an image among drafts and text, or one of many reasons for its absence.

pub(super) mod failure;

use std::borrow::Cow;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use self::failure::embedded_error;
use super::super::common::decode::base64_image;
use crate::{error::ProviderError, image::Usage};

/// The content of a response received so far.
#[derive(Debug, Default)]
pub(super) struct PartialResponse {
    picture: Option<Bytes>,
    /// The text beside the image or instead of it.
    text: String,
    finish_reason: Option<String>,
    finish_message: Option<String>,
    /// Why the prompt was blocked.
    block_message: Option<String>,
    usage: Option<Usage>,
}

/// The result of a complete response.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Completion {
    Image {
        picture: Bytes,
        text: String,
    },
    /// No image; another attempt may succeed.
    Retryable(ProviderError),
    /// No image; another attempt would fail as well.
    Final(ProviderError),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ResponseWire<'a> {
    #[serde(borrow)]
    candidates: Option<Vec<CandidateWire<'a>>>,
    prompt_feedback: Option<FeedbackWire>,
    usage_metadata: Option<UsageWire>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CandidateWire<'a> {
    #[serde(borrow)]
    content: Option<ContentWire<'a>>,
    finish_reason: Option<String>,
    finish_message: Option<String>,
}

#[derive(Deserialize)]
struct ContentWire<'a> {
    #[serde(borrow)]
    parts: Option<Vec<PartWire<'a>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PartWire<'a> {
    text: Option<String>,
    thought: Option<bool>,
    #[serde(borrow, alias = "inline_data")]
    inline_data: Option<InlineWire<'a>>,
}

#[derive(Deserialize)]
struct InlineWire<'a> {
    #[serde(borrow)]
    data: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FeedbackWire {
    block_reason: Option<String>,
    block_reason_message: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct UsageWire {
    prompt_token_count: Option<u64>,
    candidates_token_count: Option<u64>,
    thoughts_token_count: Option<u64>,
    total_token_count: Option<u64>,
    prompt_tokens_details: Option<Vec<DetailWire>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DetailWire {
    modality: Option<String>,
    token_count: Option<u64>,
}

impl PartialResponse {
    /// Adds a part, which is the whole body or the data of one event, and returns its drafts.
    ///
    /// # Errors
    /// The error that the part reports; [`ProviderError::Unreadable`] if it is invalid.
    pub(super) fn push(&mut self, data: &[u8]) -> Result<Vec<Bytes>, ProviderError> {
        let data = data.trim_ascii();
        let invalid = |error| ProviderError::Unreadable(format!("the upstream sent an invalid response: {error}"));
        // Some gateways return a stream as one JSON array.
        let parts: Vec<ResponseWire<'_>> = if data.starts_with(b"[") {
            serde_json::from_slice(data).map_err(invalid)?
        } else {
            vec![serde_json::from_slice(data).map_err(invalid)?]
        };
        let mut drafts = Vec::new();
        for ResponseWire { candidates, prompt_feedback, usage_metadata, error } in parts {
            if let Some(error) = error.filter(|error| error.get() != "null") {
                return Err(embedded_error(error.get()));
            }
            if let Some(FeedbackWire { block_reason: Some(reason), block_reason_message }) = prompt_feedback {
                self.block_message = Some(
                    block_reason_message
                        .filter(|text| !text.is_empty())
                        .unwrap_or_else(|| format!("the provider blocked the prompt: {reason}")),
                );
            }
            // Counts are cumulative: the last one applies.
            self.usage = usage_metadata.map(UsageWire::into_usage).or(self.usage);
            // The request asks for one candidate.
            let Some(candidate) = candidates.into_iter().flatten().next() else { continue };
            self.finish_reason = candidate.finish_reason.or(self.finish_reason.take());
            self.finish_message = candidate.finish_message.or(self.finish_message.take());
            for part in candidate.content.and_then(|content| content.parts).into_iter().flatten() {
                drafts.extend(self.push_part(part)?);
            }
        }
        Ok(drafts)
    }

    /// Adds one part of the content. Returns its image if it is a draft, which is an image among the thoughts.
    fn push_part(&mut self, part: PartWire<'_>) -> Result<Option<Bytes>, ProviderError> {
        let PartWire { text, thought, inline_data } = part;
        let is_thought = thought.unwrap_or(false);
        if let Some(text) = text.filter(|_| !is_thought) {
            self.text.push_str(&text);
        }
        let Some(data) = inline_data.and_then(|inline| inline.data) else { return Ok(None) };
        if is_thought {
            return base64_image(&data).map(Some);
        }
        if self.picture.is_none() {
            self.picture = Some(base64_image(&data)?);
        }
        Ok(None)
    }

    pub(super) fn usage(&self) -> Option<Usage> {
        self.usage
    }

    /// Returns whether the image has arrived, so that the rest of the response can be ignored.
    pub(super) fn has_image(&self) -> bool {
        self.picture.is_some()
    }

    /// Returns whether the model has finished or the prompt was blocked.
    pub(super) fn is_finished(&self) -> bool {
        self.finish_reason.is_some() || self.block_message.is_some()
    }

    /// Returns the result of the complete response.
    pub(super) fn completion(self) -> Completion {
        let Self { picture, text, finish_reason, finish_message, block_message, usage: _ } = self;
        let text = text.trim();
        if let Some(picture) = picture {
            return Completion::Image { picture, text: text.to_owned() };
        }
        if let Some(message) = block_message {
            return Completion::Final(ProviderError::ContentPolicy(message));
        }
        let Some(reason) = finish_reason else {
            return Completion::Final(ProviderError::Unreadable("the upstream's response has no image".to_owned()));
        };
        // The model's own message, if any, is more specific than the reason.
        let message =
            finish_message.filter(|text| !text.is_empty()).or_else(|| (!text.is_empty()).then(|| text.to_owned()));
        let message_or = |default: String| message.unwrap_or(default);
        match reason.as_str() {
            "STOP" | "NO_IMAGE" => {
                let message =
                    message_or("the model returned no image; ask for an image explicitly in the prompt".to_owned());
                Completion::Retryable(ProviderError::Refused { message, field: None })
            }
            "SAFETY"
            | "PROHIBITED_CONTENT"
            | "BLOCKLIST"
            | "SPII"
            | "RECITATION"
            | "IMAGE_SAFETY"
            | "IMAGE_PROHIBITED_CONTENT"
            | "IMAGE_RECITATION"
            | "MODEL_ARMOR"
            | "ESCALATION" => Completion::Final(ProviderError::ContentPolicy(message_or(format!(
                "the provider withheld the image: {reason}"
            )))),
            "PUP_LIMITED_DISABLED" => Completion::Final(ProviderError::Credentials(message_or(format!(
                "the account is restricted: {reason}"
            )))),
            // Another attempt would be billed and end at the same limit.
            "MAX_TOKENS" | "CONTINUATION" => Completion::Final(ProviderError::Broken(message_or(format!(
                "the response ended before the image: {reason}"
            )))),
            "IMAGE_OTHER"
            | "OTHER"
            | "LANGUAGE"
            | "MALFORMED_RESPONSE"
            | "MALFORMED_FUNCTION_CALL"
            | "MISSING_THOUGHT_SIGNATURE"
            | "UNEXPECTED_TOOL_CALL"
            | "TOO_MANY_TOOL_CALLS" => Completion::Retryable(ProviderError::Broken(message_or(format!(
                "the provider failed to generate the image: {reason}"
            )))),
            _ => {
                tracing::warn!(reason, "unknown finish reason of an image model");
                Completion::Final(ProviderError::Unreadable(message_or(format!("the response has no image: {reason}"))))
            }
        }
    }
}

impl UsageWire {
    fn into_usage(self) -> Usage {
        let Self {
            prompt_token_count,
            candidates_token_count,
            thoughts_token_count,
            total_token_count,
            prompt_tokens_details,
        } = self;
        let input = prompt_token_count.unwrap_or_default();
        let output =
            candidates_token_count.unwrap_or_default().saturating_add(thoughts_token_count.unwrap_or_default());
        let details = prompt_tokens_details.into_iter().flatten();
        let pictures = details.filter(|detail| detail.modality.as_deref() == Some("IMAGE"));
        Usage {
            input,
            input_images: pictures.filter_map(|detail| detail.token_count).sum(),
            output,
            total: total_token_count.unwrap_or(input.saturating_add(output)),
        }
    }
}

#[cfg(test)]
mod tests;
