//! Derives the random seed of a completion from its request.

use crate::request::{Format, Request, Role};

/// Hashes the parts of a request that determine the content.
///
/// `max_tokens`, `stop` and `n` are excluded: a shorter reply is always a prefix of the longer one, and fewer
/// choices are the first ones of more.
pub(crate) fn fingerprint(request: &Request) -> u64 {
    let mut hash = Fnv::new();
    // Temperature zero asks for the single most likely reply, whatever the seed.
    if request.temperature != Some(0.0)
        && let Some(seed) = request.seed
    {
        hash.write(&seed.to_le_bytes());
    }
    for turn in &request.turns {
        hash.write(match turn.role {
            Role::System => b"system",
            Role::User => b"user",
            Role::Assistant => b"assistant",
            Role::Tool => b"tool",
        });
        hash.write(turn.text.as_bytes());
        turn.attachments.iter().for_each(|kind| hash.write(kind.as_bytes()));
    }
    for tool in &request.tools {
        hash.write(tool.name.as_bytes());
        hash.write(tool.parameters.to_string().as_bytes());
    }
    match &request.format {
        Format::Text => hash.write(b"text"),
        Format::JsonObject => hash.write(b"object"),
        Format::JsonSchema(schema) => hash.write(schema.to_string().as_bytes()),
    }
    hash.0
}

/// 64-bit FNV-1a. Its result is specified, whereas the standard library's hasher may change between releases.
struct Fnv(u64);

impl Fnv {
    const fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    fn write(&mut self, bytes: &[u8]) {
        // Prefixed with the length: ("ab", "c") and ("a", "bc") must hash differently.
        for byte in bytes.len().to_le_bytes().iter().chain(bytes) {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}
