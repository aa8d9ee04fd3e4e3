//! `usage` of a response: the tokens of all its turns, and what they cost.

use triptych_proto::{usd::usd, v1 as pb};

use crate::json::{
    extra_members,
    write::{Write, write_object},
};

/// The tokens and the cost of the turns of a response.
#[derive(Debug, Clone, Default)]
pub(super) struct Usage {
    input: u64,
    cached: u64,
    cache_write: u64,
    output: u64,
    reasoning: u64,
    total: u64,
    /// In millionths of a US dollar. `None` if the cost of a turn is unknown.
    cost_micros: Option<i64>,
    turns: u32,
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
        let earlier = if self.turns == 0 { Some(0) } else { self.cost_micros };
        self.cost_micros = earlier.zip(usage.cost_micros).map(|(earlier, cost)| earlier.saturating_add(cost));
        self.turns = self.turns.saturating_add(1);
    }
}

fn member(extra_json: &str, name: &str) -> Option<u64> {
    let members = if extra_json.is_empty() { return None } else { extra_members(extra_json)? };
    members.iter().find(|(other, _)| other == name).and_then(|(_, value)| value.parse().ok())
}

impl Write for Usage {
    fn write(&self, out: &mut Vec<u8>) {
        let Self { input, cached, cache_write, output, reasoning, total, cost_micros, turns: _ } = self;
        write_object(out, |o| {
            o.scalar("input_tokens", input);
            o.object("input_tokens_details", |o| {
                o.scalar("cached_tokens", cached);
                o.scalar("cache_write_tokens", cache_write);
            });
            o.scalar("output_tokens", output);
            o.object("output_tokens_details", |o| o.scalar("reasoning_tokens", reasoning));
            o.scalar("total_tokens", total);
            if let Some(micros) = cost_micros {
                o.raw("cost", &usd(*micros));
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cost_of(turns: &[Option<i64>]) -> serde_json::Value {
        let mut sum = Usage::default();
        for &cost_micros in turns {
            sum.add(&pb::Usage { cost_micros, ..pb::Usage::default() });
        }
        let mut out = Vec::new();
        sum.write(&mut out);
        serde_json::from_slice::<serde_json::Value>(&out).unwrap()["cost"].take()
    }

    #[test]
    fn cost_is_the_sum_of_the_turns_and_absent_if_that_of_one_is_unknown() {
        assert_eq!(cost_of(&[Some(1500), Some(500)]), serde_json::json!(0.002));
        for turns in [&[None, Some(500)][..], &[Some(500), None, Some(1)], &[None], &[]] {
            assert_eq!(cost_of(turns), serde_json::Value::Null, "{turns:?}");
        }
    }
}
