//! What the models answer: a picture among drafts and words, or one of many ways to say that there is none.

use std::borrow::Cow;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    super::{super::Usage, reading::decoded},
    failure::failure_in_answer,
};
use crate::error::ProviderError;

/// An answer as far as it has come: whole, or piece by piece.
#[derive(Debug, Default)]
pub(super) struct Answer {
    picture: Option<Bytes>,
    /// What is said besides the picture, or in place of it.
    words: String,
    finish: Option<String>,
    finish_message: Option<String>,
    /// Why the prompt was blocked.
    block: Option<String>,
    usage: Option<Usage>,
}

/// What an answer comes to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Picture {
        picture: Bytes,
        words: String,
    },
    /// No picture, but the next try may bring one.
    Again(ProviderError),
    /// No picture, for a reason that will hold.
    Never(ProviderError),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire<'a> {
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

impl Answer {
    /// Takes a piece: a whole answer, or the data of one event. Gives the drafts that came with it.
    ///
    /// # Errors
    /// Where it makes no sense, or is a failure.
    pub(super) fn take(&mut self, data: &[u8]) -> Result<Vec<Bytes>, ProviderError> {
        let data = data.trim_ascii();
        let nonsense = |error| ProviderError::Unreadable(format!("the upstream's answer makes no sense: {error}"));
        // Streams of some gateways come as a list in one piece.
        let pieces: Vec<Wire<'_>> = if data.starts_with(b"[") {
            serde_json::from_slice(data).map_err(nonsense)?
        } else {
            vec![serde_json::from_slice(data).map_err(nonsense)?]
        };
        let mut drafts = Vec::new();
        for Wire { candidates, prompt_feedback, usage_metadata, error } in pieces {
            if let Some(error) = error.filter(|error| error.get() != "null") {
                return Err(failure_in_answer(error.get()));
            }
            if let Some(FeedbackWire { block_reason: Some(reason), block_reason_message }) = prompt_feedback {
                self.block = Some(
                    block_reason_message
                        .filter(|text| !text.is_empty())
                        .unwrap_or_else(|| format!("the provider blocked the prompt: {reason}")),
                );
            }
            // The last one counts them all.
            self.usage = usage_metadata.map(spent).or(self.usage);
            // One candidate was asked for.
            let Some(candidate) = candidates.into_iter().flatten().next() else { continue };
            self.finish = candidate.finish_reason.or(self.finish.take());
            self.finish_message = candidate.finish_message.or(self.finish_message.take());
            for part in candidate.content.and_then(|content| content.parts).into_iter().flatten() {
                drafts.extend(self.part(part)?);
            }
        }
        Ok(drafts)
    }

    /// Takes one part. Gives it back if it is a draft.
    fn part(&mut self, part: PartWire<'_>) -> Result<Option<Bytes>, ProviderError> {
        let PartWire { text, thought, inline_data } = part;
        let thought = thought.unwrap_or(false);
        if let Some(text) = text.filter(|_| !thought) {
            self.words.push_str(&text);
        }
        let Some(data) = inline_data.and_then(|inline| inline.data) else { return Ok(None) };
        if thought {
            return decoded(&data).map(Some);
        }
        if self.picture.is_none() {
            self.picture = Some(decoded(&data)?);
        }
        Ok(None)
    }

    pub(super) fn usage(&self) -> Option<Usage> {
        self.usage
    }

    /// Whether nothing that may still come matters.
    pub(super) fn has_picture(&self) -> bool {
        self.picture.is_some()
    }

    /// Whether the model came to an end.
    pub(super) fn is_finished(&self) -> bool {
        self.finish.is_some() || self.block.is_some()
    }

    /// What the answer comes to, now that it is over.
    pub(super) fn outcome(self) -> Outcome {
        let Self { picture, words, finish, finish_message, block, usage: _ } = self;
        let words = words.trim();
        if let Some(picture) = picture {
            return Outcome::Picture { picture, words: words.to_owned() };
        }
        if let Some(block) = block {
            return Outcome::Never(ProviderError::ContentPolicy(block));
        }
        let Some(finish) = finish else {
            return Outcome::Never(ProviderError::Unreadable("the upstream's answer has no picture".to_owned()));
        };
        let told =
            finish_message.filter(|text| !text.is_empty()).or_else(|| (!words.is_empty()).then(|| words.to_owned()));
        let told = |otherwise: String| told.unwrap_or(otherwise);
        match finish.as_str() {
            "STOP" | "NO_IMAGE" => {
                let message =
                    told("the model answered without a picture; a prompt that asks for one plainly helps".to_owned());
                Outcome::Again(ProviderError::Refused { message, field: None })
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
            | "ESCALATION" => Outcome::Never(ProviderError::ContentPolicy(told(format!(
                "the provider held the picture back: {finish}"
            )))),
            "PUP_LIMITED_DISABLED" => {
                Outcome::Never(ProviderError::Credentials(told(format!("the account is limited: {finish}"))))
            }
            // A longer answer would cost more, and end at the same limit.
            "MAX_TOKENS" | "CONTINUATION" => {
                Outcome::Never(ProviderError::Broken(told(format!("the answer ended before the picture: {finish}"))))
            }
            "IMAGE_OTHER"
            | "OTHER"
            | "LANGUAGE"
            | "MALFORMED_RESPONSE"
            | "MALFORMED_FUNCTION_CALL"
            | "MISSING_THOUGHT_SIGNATURE"
            | "UNEXPECTED_TOOL_CALL"
            | "TOO_MANY_TOOL_CALLS" => Outcome::Again(ProviderError::Broken(told(format!(
                "the provider could not make the picture: {finish}"
            )))),
            _ => {
                tracing::warn!(finish, "an image model ended for a reason that is not known here");
                Outcome::Never(ProviderError::Unreadable(told(format!("the answer has no picture: {finish}"))))
            }
        }
    }
}

fn spent(wire: UsageWire) -> Usage {
    let UsageWire {
        prompt_token_count,
        candidates_token_count,
        thoughts_token_count,
        total_token_count,
        prompt_tokens_details,
    } = wire;
    let input = prompt_token_count.unwrap_or_default();
    let output = candidates_token_count.unwrap_or_default().saturating_add(thoughts_token_count.unwrap_or_default());
    let details = prompt_tokens_details.into_iter().flatten();
    let pictures = details.filter(|detail| detail.modality.as_deref() == Some("IMAGE"));
    Usage {
        input,
        input_images: pictures.filter_map(|detail| detail.token_count).sum(),
        output,
        total: total_token_count.unwrap_or(input.saturating_add(output)),
    }
}

#[cfg(test)]
mod tests;
