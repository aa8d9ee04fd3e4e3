//! Log probabilities of output tokens.

use triptych_proto::v1 as pb;

use crate::json::write::{ObjectWriter, write_object};

/// The elements of two arrays: one for events, and one for items, whose elements also have `bytes`.
#[derive(Debug, Default)]
pub(super) struct Logprobs {
    events: Vec<u8>,
    items: Vec<u8>,
}

impl Logprobs {
    /// Returns the elements for these tokens.
    pub(super) fn of(tokens: &[pb::TokenLogprob]) -> Self {
        let mut logprobs = Self::default();
        for token in tokens {
            push(&mut logprobs.events, |o| write_token(o, token, false));
            push(&mut logprobs.items, |o| write_token(o, token, true));
        }
        logprobs
    }

    /// Appends the elements of `more`.
    pub(super) fn append(&mut self, more: &Self) {
        for (array, more) in [(&mut self.events, &more.events), (&mut self.items, &more.items)] {
            if !array.is_empty() && !more.is_empty() {
                array.push(b',');
            }
            array.extend_from_slice(more);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// Writes the member `logprobs` of an event.
    pub(super) fn write_for_event(&self, o: &mut ObjectWriter<'_>) {
        o.value_with("logprobs", |out| write_array(out, &self.events));
    }

    /// Writes the member `logprobs` of a content part.
    pub(super) fn write_for_item(&self, o: &mut ObjectWriter<'_>) {
        o.value_with("logprobs", |out| write_array(out, &self.items));
    }
}

fn write_array(out: &mut Vec<u8>, elements: &[u8]) {
    out.push(b'[');
    out.extend_from_slice(elements);
    out.push(b']');
}

fn push(array: &mut Vec<u8>, members: impl FnOnce(&mut ObjectWriter<'_>)) {
    if !array.is_empty() {
        array.push(b',');
    }
    write_object(array, members);
}

fn write_token(o: &mut ObjectWriter<'_>, token: &pb::TokenLogprob, with_bytes: bool) {
    let write_one = |o: &mut ObjectWriter<'_>, token: &pb::TokenLogprob| {
        o.scalar("token", &token.token);
        o.scalar("logprob", &token.logprob);
        if with_bytes {
            // OpenAI requires the bytes; upstreams that omit them send whole characters.
            match token.bytes.as_slice() {
                [] => o.scalar("bytes", token.token.as_bytes()),
                bytes => o.scalar("bytes", bytes),
            }
        }
    };
    write_one(o, token);
    o.value_with("top_logprobs", |out| {
        let mut elements = Vec::new();
        for alternative in &token.top_logprobs {
            push(&mut elements, |o| write_one(o, alternative));
        }
        write_array(out, &elements);
    });
}
