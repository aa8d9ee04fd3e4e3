//! Log probabilities.

use serde::de::MapAccess;
use triptych_proto::v1 as pb;

use crate::{
    object::{Member, Object},
    value::Slot,
    write::{Write, object},
};

impl Object for pb::Logprobs {
    fn take<'de, A: MapAccess<'de>>(&mut self, member: Member<'_, 'de, A>) -> Result<(), A::Error> {
        match member.name() {
            "content" => member.fill(&mut self.content, &mut self.extra_json),
            "refusal" => member.fill(&mut self.refusal, &mut self.extra_json),
            _ => member.keep(&mut self.extra_json),
        }
    }
}

impl Write for pb::Logprobs {
    fn write(&self, out: &mut Vec<u8>) {
        let Self { content, refusal, extra_json } = self;
        object(out, |o| {
            o.values("content", content);
            o.values("refusal", refusal);
            o.extra(extra_json);
        });
    }
}

/// How OpenAI says that a token is so unlikely that its probability is not told. What others say with a null would be
/// certainty as a 0, and clients read a number.
const UNTOLD: f64 = -9999.0;

struct LogProbability<'a>(&'a mut f64);

impl Slot for LogProbability<'_> {
    fn fill<'de, A: MapAccess<'de>>(&mut self, map: &mut A) -> Result<Option<&'static str>, A::Error> {
        let mut told = None::<f64>;
        told.fill(map)?;
        *self.0 = told.unwrap_or(UNTOLD);
        Ok(None)
    }
}

impl Object for pb::TokenLogprob {
    fn take<'de, A: MapAccess<'de>>(&mut self, member: Member<'_, 'de, A>) -> Result<(), A::Error> {
        match member.name() {
            "token" => member.fill_or_null(&mut self.token),
            "logprob" => member.fill_or_null(&mut LogProbability(&mut self.logprob)),
            "bytes" => member.fill(&mut self.bytes, &mut self.extra_json),
            "top_logprobs" => member.fill(&mut self.top_logprobs, &mut self.extra_json),
            _ => member.keep(&mut self.extra_json),
        }
    }
}

impl Write for pb::TokenLogprob {
    fn write(&self, out: &mut Vec<u8>) {
        let Self { token, logprob, bytes, top_logprobs, extra_json } = self;
        object(out, |o| {
            o.scalar("token", token);
            o.scalar("logprob", logprob);
            o.scalars("bytes", bytes);
            o.values("top_logprobs", top_logprobs);
            o.extra(extra_json);
        });
    }
}
