//! Everything the engine can say, by language. Templates hold `{names}` which `text` fills in.

pub(crate) mod en;
pub(crate) mod zh;

use crate::reading::Language;

/// One language's sentences. No table is empty.
#[derive(Debug)]
pub(crate) struct Phrases {
    /// What this is: the first sentences of every answer but a prompt.
    pub(crate) honesty: &'static [&'static str],
    /// The same, short, for the end of a prompt.
    pub(crate) honesty_short: &'static str,
    /// `{count}` and `{earlier}`: from the second question on.
    pub(crate) context: &'static str,
    pub(crate) greeting: &'static [&'static str],
    /// `{said}`.
    pub(crate) echo: &'static str,
    /// `{topic}` and `{question}`.
    pub(crate) other: &'static [&'static str],
    pub(crate) nothing_asked: &'static str,
    /// `{kinds}`.
    pub(crate) attachments: &'static str,
    /// `{result}`.
    pub(crate) result: &'static str,
    /// `{language}` and `{code}`.
    pub(crate) code: &'static str,
    /// Closing ideas of what to try next.
    pub(crate) try_next: &'static [&'static str],
    /// `{prompt}`'s parts, put together by commas.
    pub(crate) scenes: &'static [&'static str],
    pub(crate) lights: &'static [&'static str],
    pub(crate) palettes: &'static [&'static str],
    pub(crate) styles: &'static [&'static str],
    pub(crate) moves: &'static [&'static str],
    /// `{number}`.
    pub(crate) numbered: &'static str,
    pub(crate) comma: &'static str,
    pub(crate) period: &'static str,
    pub(crate) story: Story,
}

/// A story is a frame with slots.
#[derive(Debug)]
pub(crate) struct Story {
    pub(crate) heroes: &'static [&'static str],
    pub(crate) places: &'static [&'static str],
    pub(crate) finds: &'static [&'static str],
    pub(crate) troubles: &'static [&'static str],
    /// `{hero}`, `{place}`, `{find}`, `{trouble}`.
    pub(crate) frame: &'static str,
    /// `{topic}`: for a story about something.
    pub(crate) about: &'static str,
}

pub(crate) fn of(language: Language) -> &'static Phrases {
    match language {
        Language::English => &en::PHRASES,
        Language::Chinese => &zh::PHRASES,
    }
}
