//! `usage`: the numbers of tokens of a request and its response, and the cost.

use serde::de::MapAccess;
use triptych_proto::{usd::usd, v1 as pb};

use crate::json::{
    object::{Member, Object},
    write::{Write, write_object},
};

impl Object for pb::Usage {
    fn read_member<'de, A: MapAccess<'de>>(&mut self, member: Member<'_, 'de, A>) -> Result<(), A::Error> {
        match member.name() {
            "prompt_tokens" => member.read_required_into(&mut self.prompt_tokens),
            "completion_tokens" => member.read_required_into(&mut self.completion_tokens),
            "total_tokens" => member.read_required_into(&mut self.total_tokens),
            "prompt_tokens_details" => member.read_into(&mut self.prompt_tokens_details, &mut self.extra_json),
            "completion_tokens_details" => member.read_into(&mut self.completion_tokens_details, &mut self.extra_json),
            _ => member.keep_in(&mut self.extra_json),
        }
    }
}

impl Write for pb::Usage {
    fn write(&self, out: &mut Vec<u8>) {
        let Self {
            prompt_tokens,
            completion_tokens,
            total_tokens,
            prompt_tokens_details,
            completion_tokens_details,
            cost_micros,
            extra_json,
        } = self;
        write_object(out, |o| {
            o.scalar("prompt_tokens", prompt_tokens);
            o.scalar("completion_tokens", completion_tokens);
            o.scalar("total_tokens", total_tokens);
            o.optional_value("prompt_tokens_details", prompt_tokens_details.as_ref());
            o.optional_value("completion_tokens_details", completion_tokens_details.as_ref());
            if let Some(micros) = cost_micros {
                // In millionths of a US dollar; `cost` in dollars is a member of OpenRouter's API, whose clients require a number.
                // Written as raw digits, it stays exact.
                o.raw("cost", &usd(*micros));
            }
            o.extra(extra_json);
        });
    }
}

impl Object for pb::PromptTokensDetails {
    fn read_member<'de, A: MapAccess<'de>>(&mut self, member: Member<'_, 'de, A>) -> Result<(), A::Error> {
        match member.name() {
            "cached_tokens" => member.read_into(&mut self.cached_tokens, &mut self.extra_json),
            "audio_tokens" => member.read_into(&mut self.audio_tokens, &mut self.extra_json),
            _ => member.keep_in(&mut self.extra_json),
        }
    }
}

impl Write for pb::PromptTokensDetails {
    fn write(&self, out: &mut Vec<u8>) {
        let Self { cached_tokens, audio_tokens, extra_json } = self;
        write_object(out, |o| {
            o.optional("cached_tokens", cached_tokens.as_ref());
            o.optional("audio_tokens", audio_tokens.as_ref());
            o.extra(extra_json);
        });
    }
}

impl Object for pb::CompletionTokensDetails {
    fn read_member<'de, A: MapAccess<'de>>(&mut self, member: Member<'_, 'de, A>) -> Result<(), A::Error> {
        let extra = &mut self.extra_json;
        match member.name() {
            "reasoning_tokens" => member.read_into(&mut self.reasoning_tokens, extra),
            "audio_tokens" => member.read_into(&mut self.audio_tokens, extra),
            "accepted_prediction_tokens" => member.read_into(&mut self.accepted_prediction_tokens, extra),
            "rejected_prediction_tokens" => member.read_into(&mut self.rejected_prediction_tokens, extra),
            _ => member.keep_in(extra),
        }
    }
}

impl Write for pb::CompletionTokensDetails {
    fn write(&self, out: &mut Vec<u8>) {
        let Self { reasoning_tokens, audio_tokens, accepted_prediction_tokens, rejected_prediction_tokens, extra_json } =
            self;
        write_object(out, |o| {
            o.optional("reasoning_tokens", reasoning_tokens.as_ref());
            o.optional("audio_tokens", audio_tokens.as_ref());
            o.optional("accepted_prediction_tokens", accepted_prediction_tokens.as_ref());
            o.optional("rejected_prediction_tokens", rejected_prediction_tokens.as_ref());
            o.extra(extra_json);
        });
    }
}
