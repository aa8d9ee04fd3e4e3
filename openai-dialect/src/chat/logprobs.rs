//! Log probabilities of tokens.

use serde::de::MapAccess;
use triptych_proto::v1 as pb;

use crate::json::{
    extra::has_member,
    field::{Field, Unrepresented},
    mode::Mode,
    object::{Member, Object},
    write::{ObjectWriter, Write, write_object},
};

/// The value with which OpenAI replaces the log probability of a very unlikely token. It also stands for `null` and
/// for an absent value: clients expect a number, and 0 would mean certainty.
const OMITTED: f64 = -9999.0;

/// Writes `logprobs`, which every choice must have: `null` if neither the field nor `extra_json` has them.
pub(super) fn write_logprobs(o: &mut ObjectWriter<'_>, logprobs: Option<&pb::Logprobs>, extra_json: &str) {
    match logprobs {
        Some(logprobs) => o.value("logprobs", logprobs),
        None if has_member(extra_json, "logprobs") => {}
        None => o.raw("logprobs", "null"),
    }
}

impl Object for pb::Logprobs {
    fn read_member<'de, A: MapAccess<'de>>(&mut self, member: Member<'_, 'de, A>) -> Result<(), A::Error> {
        match member.name() {
            "content" => member.read_into(&mut self.content, &mut self.extra_json),
            "refusal" => member.read_into(&mut self.refusal, &mut self.extra_json),
            _ => member.keep_in(&mut self.extra_json),
        }
    }
}

impl Write for pb::Logprobs {
    fn write(&self, out: &mut Vec<u8>) {
        let Self { content, refusal, extra_json } = self;
        write_object(out, |o| {
            o.values("content", content);
            o.values("refusal", refusal);
            o.extra(extra_json);
        });
    }
}

/// Reads `logprob`.
struct LogprobField<'a>(&'a mut f64);

impl Field for LogprobField<'_> {
    fn read_from<'de, A: MapAccess<'de>>(&mut self, map: &mut A, mode: Mode) -> Result<Unrepresented, A::Error> {
        let mut logprob = None::<f64>;
        logprob.read_from(map, mode)?;
        *self.0 = logprob.unwrap_or(OMITTED);
        Ok(None)
    }
}

impl Object for pb::TokenLogprob {
    fn initial() -> Self {
        Self { logprob: OMITTED, ..Self::default() }
    }

    fn read_member<'de, A: MapAccess<'de>>(&mut self, member: Member<'_, 'de, A>) -> Result<(), A::Error> {
        match member.name() {
            "token" => member.read_required_into(&mut self.token),
            "logprob" => member.read_required_into(&mut LogprobField(&mut self.logprob)),
            "bytes" => member.read_into(&mut self.bytes, &mut self.extra_json),
            "top_logprobs" => member.read_into(&mut self.top_logprobs, &mut self.extra_json),
            _ => member.keep_in(&mut self.extra_json),
        }
    }
}

impl Write for pb::TokenLogprob {
    fn write(&self, out: &mut Vec<u8>) {
        let Self { token, logprob, bytes, top_logprobs, extra_json } = self;
        write_object(out, |o| {
            o.scalar("token", token);
            o.scalar("logprob", logprob);
            o.scalars("bytes", bytes);
            o.values("top_logprobs", top_logprobs);
            o.extra(extra_json);
        });
    }
}
