//! Token counting with the published `cl100k_base` vocabulary.
//!
//! The vocabulary is compiled in and unpacked on first use, which takes tens of milliseconds and about 34 MB that stay
//! allocated. The newer `o200k_base` would need twice the memory.

use crate::request::{Request, Turn};

/// Overhead in tokens of each message and of the reply's opening, as OpenAI documents them for chat.
const PER_MESSAGE: u64 = 3;
const REPLY_OPENING: u64 = 3;
/// The documented cost in tokens of an image at low detail. The engine does not read images, so all of them cost the same.
const PER_IMAGE: u64 = 85;
/// Approximate overhead in tokens of one function, around its name, description and schema.
pub(crate) const PER_FUNCTION: u64 = 8;

/// Returns the number of tokens in a text. Special tokens such as `<|endoftext|>` count as ordinary text.
pub fn count_tokens(text: &str) -> u64 {
    bpe_openai::cl100k_base().count(text) as u64
}

/// A text, split into the pieces that a stream sends.
#[derive(Debug)]
pub(crate) struct Pieces {
    /// Non-empty strings. Tokens that only together form a character are one piece.
    pub(crate) texts: Vec<String>,
    pub(crate) tokens: u64,
    /// Whether the limit removed tokens.
    pub(crate) truncated: bool,
}

/// Splits a text into tokens and keeps the first `limit` of them.
pub(crate) fn pieces(text: &str, limit: Option<u64>) -> Pieces {
    let tokenizer = bpe_openai::cl100k_base();
    let mut tokens = tokenizer.encode(text);
    let total = tokens.len();
    tokens.truncate(limit.map_or(total, |limit| usize::try_from(limit).unwrap_or(usize::MAX)));

    let mut texts = Vec::with_capacity(tokens.len());
    let mut pending = Vec::new();
    for &token in &tokens {
        pending.extend_from_slice(tokenizer.bpe.token_bytes(token));
        let ready = match str::from_utf8(&pending) {
            Ok(all) => all.len(),
            Err(error) => error.valid_up_to(),
        };
        if ready > 0 {
            let bytes: Vec<u8> = pending.drain(..ready).collect();
            texts.push(String::from_utf8_lossy(&bytes).into_owned());
        }
    }
    // Bytes still pending belong to a character that the limit cut in two: its tokens count, but have no text.
    Pieces { truncated: tokens.len() < total, tokens: tokens.len() as u64, texts }
}

/// Returns the prompt tokens of a request: messages with their overhead, tools, and the opening of the reply.
pub(crate) fn prompt(request: &Request) -> u64 {
    let turns: u64 = request.turns.iter().map(turn).sum();
    let tools: u64 = request
        .tools
        .iter()
        .map(|tool| {
            let schema = if tool.parameters.is_null() { 0 } else { count_tokens(&tool.parameters.to_string()) };
            PER_FUNCTION + count_tokens(&tool.name) + count_tokens(&tool.description) + schema
        })
        .sum();
    turns + tools + REPLY_OPENING
}

fn turn(turn: &Turn) -> u64 {
    // The name of every role is a single token.
    let role = 1;
    let images = turn.attachments.iter().filter(|kind| *kind == "image").count() as u64;
    let calls: u64 = turn
        .tool_calls
        .iter()
        .map(|call| PER_FUNCTION + count_tokens(&call.name) + count_tokens(&call.arguments))
        .sum();
    PER_MESSAGE + role + count_tokens(&turn.text) + images * PER_IMAGE + calls
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn count_tokens_matches_the_published_vocabulary() {
        assert_eq!(count_tokens(""), 0);
        assert_eq!(count_tokens("tiktoken is great!"), 6);
        assert_eq!(count_tokens("antidisestablishmentarianism"), 6);
        assert_eq!(count_tokens("お誕生日おめでとう"), 9);
    }

    #[test]
    fn pieces_concatenate_to_the_text_and_split_no_character() {
        let text = "Straße, 日本語, 🦀🦀 and 👩‍👩‍👧 — done\n\n";
        let whole = pieces(text, None);
        assert_eq!(whole.texts.concat(), text);
        assert!(!whole.truncated);
        for limit in 0..=whole.tokens {
            let part = pieces(text, Some(limit));
            assert_eq!(part.tokens, limit);
            assert_eq!(part.truncated, limit < whole.tokens);
            assert!(text.starts_with(&part.texts.concat()));
            assert!(part.texts.iter().all(|piece| !piece.is_empty()));
        }
    }

    #[test]
    fn prompt_tokens_include_the_documented_overhead() {
        let request = Request { turns: vec![Turn::user("Hello world")], ..Request::default() };
        let (role, text) = (1, 2);
        assert_eq!(prompt(&request), PER_MESSAGE + role + text + REPLY_OPENING);
    }
}
