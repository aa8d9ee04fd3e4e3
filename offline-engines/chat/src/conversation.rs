//! The parts of a conversation that a reply depends on.

use crate::intent::Intent;
use crate::language::Language;
use crate::request::{Request, Role};
use crate::words::shorten;

/// A parsed conversation.
#[derive(Debug)]
pub(crate) struct Conversation<'a> {
    /// Language of the last user message.
    pub(crate) language: Language,
    pub(crate) intent: Intent<'a>,
    /// Text of the last user message; empty if there is none.
    pub(crate) last: &'a str,
    /// Number of user messages.
    pub(crate) user_turns: usize,
    /// Text of the user message before the last one, skipping empty ones.
    pub(crate) earlier: Option<&'a str>,
    /// Kinds of the attachments of the last user message.
    pub(crate) attachments: &'a [String],
    /// Tool results returned since the last user message.
    pub(crate) results: Vec<&'a str>,
}

impl<'a> Conversation<'a> {
    pub(crate) fn from_request(request: &'a Request) -> Self {
        let user_turns: Vec<_> = request.turns.iter().filter(|turn| turn.role == Role::User).collect();
        let last_turn = user_turns.last().copied();
        let last = last_turn.map_or("", |turn| turn.text.trim());
        let after = request.turns.iter().rposition(|turn| turn.role == Role::User).map_or(0, |at| at + 1);
        let results = request.turns[after..].iter().filter(|turn| turn.role == Role::Tool);
        let earlier = user_turns.iter().rev().skip(1).map(|turn| turn.text.trim()).find(|text| !text.is_empty());
        Self {
            language: Language::detect(last),
            intent: Intent::detect(last, earlier),
            last,
            user_turns: user_turns.len(),
            earlier,
            attachments: last_turn.map_or(&[], |turn| &turn.attachments),
            results: results.map(|turn| turn.text.trim()).collect(),
        }
    }

    /// Returns the last user message, shortened for quoting.
    pub(crate) fn quote(&self) -> String {
        shorten(self.last, 80)
    }

    /// Returns the topic of the last user message: its text without an opening such as "what is".
    pub(crate) fn topic(&self) -> String {
        shorten(topic(self.last), 60)
    }
}

/// Phrases that precede a topic. The first match is removed, so a phrase comes before its own prefixes.
const OPENINGS: &[&str] = &[
    "can you tell me about ",
    "please tell me about ",
    "tell me more about ",
    "tell me about ",
    "what do you know about ",
    "can you explain ",
    "please explain ",
    "explain to me ",
    "explain ",
    "describe ",
    "what is an ",
    "what is a ",
    "what is the ",
    "what is ",
    "what's ",
    "what are ",
    "who is ",
    "who was ",
    "how do i ",
    "how can i ",
    "how to ",
    "how does ",
    "write a short story about ",
    "write a story about ",
    "write a creative story about ",
    "tell me a story about ",
    "write a ",
    "give me ",
    "please ",
    "请介绍一下",
    "介绍一下",
    "请解释一下",
    "解释一下",
    "什么是",
    "请问",
    "如何",
    "怎么",
    "请写一个关于",
    "写一个关于",
    "讲一个关于",
];

fn topic(text: &str) -> &str {
    let found = OPENINGS
        .iter()
        .find(|opening| text.get(..opening.len()).is_some_and(|start| start.eq_ignore_ascii_case(opening)));
    let rest = found.map_or(text, |opening| &text[opening.len()..]);
    let rest = rest.trim_matches(|c: char| c.is_whitespace() || "?？!！.。".contains(c));
    if rest.is_empty() { text } else { rest }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topic_is_the_text_without_its_opening() {
        assert_eq!(topic("What is AI?"), "AI");
        assert_eq!(topic("什么是人工智能？"), "人工智能");
    }
}
