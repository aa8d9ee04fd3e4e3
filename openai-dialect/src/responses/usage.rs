//! `usage` of a response: the tokens of all its turns.

use triptych_proto::v1 as pb;

use crate::json::{
    extra_members,
    write::{Write, write_object},
};

/// The number of tokens of a response.
#[derive(Debug, Clone, Default)]
pub(super) struct Usage {
    input: u64,
    cached: u64,
    cache_write: u64,
    output: u64,
    reasoning: u64,
    total: u64,
}

impl Usage {
    /// Adds the usage of a turn. Details that the upstream does not report count as zero.
    pub(super) fn add(&mut self, usage: &pb::Usage) {
        let input_details = usage.prompt_tokens_details.as_ref();
        let output_details = usage.completion_tokens_details.as_ref();
        self.input = self.input.saturating_add(usage.prompt_tokens);
        self.output = self.output.saturating_add(usage.completion_tokens);
        let sum = usage.prompt_tokens.saturating_add(usage.completion_tokens);
        let total = if usage.total_tokens == 0 { sum } else { usage.total_tokens };
        self.total = self.total.saturating_add(total);
        let cached = input_details.and_then(|details| details.cached_tokens).unwrap_or_default();
        self.cached = self.cached.saturating_add(cached);
        let reasoning = output_details.and_then(|details| details.reasoning_tokens).unwrap_or_default();
        self.reasoning = self.reasoning.saturating_add(reasoning);
        let written = input_details.and_then(|details| member(&details.extra_json, "cache_write_tokens"));
        // The name of Anthropic-compatible upstreams.
        let written = written.or_else(|| member(&usage.extra_json, "cache_creation_input_tokens"));
        self.cache_write = self.cache_write.saturating_add(written.unwrap_or_default());
    }
}

fn member(extra_json: &str, name: &str) -> Option<u64> {
    let members = if extra_json.is_empty() { return None } else { extra_members(extra_json)? };
    members.iter().find(|(other, _)| other == name).and_then(|(_, value)| value.parse().ok())
}

impl Write for Usage {
    fn write(&self, out: &mut Vec<u8>) {
        let Self { input, cached, cache_write, output, reasoning, total } = self;
        write_object(out, |o| {
            o.scalar("input_tokens", input);
            o.object("input_tokens_details", |o| {
                o.scalar("cached_tokens", cached);
                o.scalar("cache_write_tokens", cache_write);
            });
            o.scalar("output_tokens", output);
            o.object("output_tokens_details", |o| o.scalar("reasoning_tokens", reasoning));
            o.scalar("total_tokens", total);
        });
    }
}
