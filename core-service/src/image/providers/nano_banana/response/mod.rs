//! Gemini's responses: an image among drafts (images that the model makes while it thinks) and text, or one of many reasons for
//! its absence.

use bytes::Bytes;

use super::super::common::decode::base64_image;
use crate::{
    error::ProviderError,
    google_errors::embedded_error,
    image::Usage,
    json::members::{Members, read_objects},
};

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
    /// The first part that could not be interpreted.
    unreadable: Option<ProviderError>,
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

impl PartialResponse {
    /// Adds a part of the response: its whole body, or the data of one server-sent event. Returns the drafts in it. A part that
    /// cannot be interpreted is skipped: the image may be in another one.
    ///
    /// # Errors
    /// The error that the part reports, unless the image has arrived.
    pub(super) fn push(&mut self, data: &[u8]) -> Result<Vec<Bytes>, ProviderError> {
        let mut drafts = Vec::new();
        // Some gateways return a stream as one JSON array.
        let read = read_objects(data, |parts| {
            for part in parts {
                self.push_response(&part, &mut drafts)?;
            }
            Ok::<_, ProviderError>(())
        });
        match read {
            Ok(pushed) => pushed?,
            Err(unreadable) => self.skip(unreadable),
        }
        Ok(drafts)
    }

    /// Adds one JSON object of the response, and its drafts to `drafts`.
    fn push_response(&mut self, response: &Members<'_>, drafts: &mut Vec<Bytes>) -> Result<(), ProviderError> {
        let feedback = response.object("promptFeedback");
        if let Some(reason) = feedback.text("blockReason") {
            let message = feedback.text("blockReasonMessage").map(String::from);
            self.block_message = Some(message.unwrap_or_else(|| format!("the provider blocked the prompt: {reason}")));
        }
        // Counts are cumulative: the last one applies.
        self.usage = usage(&response.object("usageMetadata")).or(self.usage);
        for candidate in response.objects("candidates") {
            self.finish_reason = candidate.text("finishReason").map(String::from).or(self.finish_reason.take());
            self.finish_message = candidate.text("finishMessage").map(String::from).or(self.finish_message.take());
            for part in candidate.object("content").objects("parts") {
                drafts.extend(self.push_part(&part));
            }
        }
        match response.error() {
            Some(error) if self.picture.is_none() => Err(embedded_error(error)),
            Some(_) | None => Ok(()),
        }
    }

    /// Adds one part of the content. Returns its image if it is a draft, which is an image among the thoughts.
    fn push_part(&mut self, part: &Members<'_>) -> Option<Bytes> {
        let is_thought = part.is_true("thought");
        if let Some(text) = part.string("text").filter(|_| !is_thought) {
            self.text.push_str(&text);
        }
        let inline = |name| part.object(name).string("data");
        let picture = match base64_image(&inline("inlineData").or_else(|| inline("inline_data"))?) {
            Ok(picture) => picture,
            Err(invalid) => {
                self.skip(invalid);
                return None;
            }
        };
        if is_thought {
            return Some(picture);
        }
        self.picture.get_or_insert(picture);
        None
    }

    /// Records the error of a part that cannot be interpreted.
    fn skip(&mut self, unreadable: ProviderError) {
        tracing::debug!(error = %unreadable, "skipped a part of a response");
        self.unreadable.get_or_insert(unreadable);
    }

    /// Returns the error of the first part that could not be interpreted.
    pub(super) fn unreadable(&self) -> Option<ProviderError> {
        self.unreadable.clone()
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
        let Self { picture, text, finish_reason, finish_message, block_message, usage: _, unreadable } = self;
        let text = text.trim();
        if let Some(picture) = picture {
            return Completion::Image { picture, text: text.to_owned() };
        }
        if let Some(message) = block_message {
            return Completion::Final(ProviderError::ContentPolicy(message));
        }
        let Some(reason) = finish_reason else {
            let no_image = || ProviderError::Unreadable("the upstream's response has no image".to_owned());
            return Completion::Final(unreadable.unwrap_or_else(no_image));
        };
        // The model's own message, if any, is more specific than the reason.
        let message =
            finish_message.filter(|text| !text.is_empty()).or_else(|| (!text.is_empty()).then(|| text.to_owned()));
        let message_or = |default: String| message.clone().unwrap_or(default);
        match reason.as_str() {
            "STOP" | "NO_IMAGE" => {
                // A part that could not be interpreted is taken for the image, unless the model wrote a text in its place.
                if let (Some(unreadable), None) = (unreadable, &message) {
                    return Completion::Final(unreadable);
                }
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

/// Returns the token usage; `None` without any count.
fn usage(members: &Members<'_>) -> Option<Usage> {
    let [input, candidates, thoughts, total] =
        ["promptTokenCount", "candidatesTokenCount", "thoughtsTokenCount", "totalTokenCount"]
            .map(|name| members.number(name));
    input.or(candidates).or(thoughts).or(total)?;
    let input = input.unwrap_or_default();
    let output = candidates.unwrap_or_default().saturating_add(thoughts.unwrap_or_default());
    let details = members.objects("promptTokensDetails");
    let pictures = details.iter().filter(|detail| detail.text("modality").as_deref() == Some("IMAGE"));
    let input_images = pictures.filter_map(|detail| detail.number("tokenCount")).fold(0, u64::saturating_add);
    Some(Usage { input, input_images, output, total: total.unwrap_or(input.saturating_add(output)) })
}

#[cfg(test)]
mod tests;
