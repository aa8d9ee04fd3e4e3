//! Tokens as the clients count them: the published `cl100k_base` vocabulary, compiled in and unpacked on first use
//! (tens of milliseconds, some 34 MB that then stay). The newer `o200k_base` would take twice the memory.

use crate::{Request, Turn};

/// What each message costs beside its words, and what the reply's opening costs, as OpenAI documents for chat.
const PER_MESSAGE: u64 = 3;
const REPLY_OPENING: u64 = 3;
/// The documented price of a picture at low detail. Nothing here looks at pictures, so all cost the same.
const PER_PICTURE: u64 = 85;
/// Brackets and keywords around one function's name, description and schema.
pub(crate) const PER_FUNCTION: u64 = 8;

/// How many tokens a text is. Special tokens such as `<|endoftext|>` are ordinary text here.
pub fn count_tokens(text: &str) -> u64 {
    bpe_openai::cl100k_base().count(text) as u64
}

/// A text cut into the pieces a stream sends.
#[derive(Debug)]
pub(crate) struct Pieces {
    /// Never empty strings, never part of a character: tokens that only together make up a character are one piece.
    pub(crate) texts: Vec<String>,
    pub(crate) tokens: u64,
    /// Whether the limit left something out.
    pub(crate) cut: bool,
}

/// Splits into tokens and keeps the first `limit` of them.
pub(crate) fn pieces(text: &str, limit: Option<u64>) -> Pieces {
    let tokenizer = bpe_openai::cl100k_base();
    let mut tokens = tokenizer.encode(text);
    let whole = tokens.len();
    tokens.truncate(limit.map_or(whole, |limit| usize::try_from(limit).unwrap_or(usize::MAX)));

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
    // What is still pending belongs to a character the limit cut through: it is paid for but cannot be shown.
    Pieces { cut: tokens.len() < whole, tokens: tokens.len() as u64, texts }
}

/// The whole prompt: every message with its overhead, the tools, and the opening of the reply.
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
    // Every role's name is a single token.
    let role = 1;
    let pictures = turn.attachments.iter().filter(|kind| *kind == "image").count() as u64;
    let calls: u64 = turn
        .tool_calls
        .iter()
        .map(|call| PER_FUNCTION + count_tokens(&call.name) + count_tokens(&call.arguments))
        .sum();
    PER_MESSAGE + role + count_tokens(&turn.text) + pictures * PER_PICTURE + calls
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_agree_with_the_published_vocabulary() {
        assert_eq!(count_tokens(""), 0);
        assert_eq!(count_tokens("tiktoken is great!"), 6);
        assert_eq!(count_tokens("antidisestablishmentarianism"), 6);
        assert_eq!(count_tokens("お誕生日おめでとう"), 9);
    }

    #[test]
    fn pieces_put_together_are_the_text_and_no_character_is_split() {
        let text = "Straße, 日本語, 🦀🦀 and 👩‍👩‍👧 — done\n\n";
        let whole = pieces(text, None);
        assert_eq!(whole.texts.concat(), text);
        assert!(!whole.cut);
        for limit in 0..=whole.tokens {
            let part = pieces(text, Some(limit));
            assert_eq!(part.tokens, limit);
            assert_eq!(part.cut, limit < whole.tokens);
            assert!(text.starts_with(&part.texts.concat()));
            assert!(part.texts.iter().all(|piece| !piece.is_empty()));
        }
    }

    #[test]
    fn a_prompt_counts_as_the_documentation_says() {
        let request = Request { turns: vec![Turn::user("Hello world")], ..Request::default() };
        assert_eq!(prompt(&request), 3 + 1 + 2 + 3);
    }
}
