//! The structure of a language's templates. `{name}` marks a placeholder that `prose` fills in.

/// The templates of one language. No table is empty.
#[derive(Debug)]
pub(crate) struct Phrases {
    /// Disclosure that no language model is connected: the first sentence of every reply except a prompt.
    pub(crate) disclosures: &'static [&'static str],
    /// A short disclosure for the end of a prompt.
    pub(crate) short_disclosure: &'static str,
    /// Reference to the user's previous message: `{count}` (number of the current one), `{earlier}` (its text).
    pub(crate) context: &'static str,
    /// Replies to a greeting.
    pub(crate) greetings: &'static [&'static str],
    /// Repeats a text on request: `{text}`.
    pub(crate) echo: &'static str,
    /// Replies to everything else: `{topic}`, `{question}`.
    pub(crate) fallbacks: &'static [&'static str],
    /// Reply to a conversation without a user message.
    pub(crate) no_user_message: &'static str,
    /// Mentions attachments: `{kinds}`.
    pub(crate) attachments: &'static str,
    /// Quotes a tool result: `{result}`.
    pub(crate) tool_result: &'static str,
    /// Shows a code example: `{language}`, `{code}`.
    pub(crate) code: &'static str,
    /// Closing suggestions of what to try next.
    pub(crate) suggestions: &'static [&'static str],
    /// Subjects of a prompt for an image or video engine. The following four tables are its other parts; the last one is
    /// for videos only.
    pub(crate) scenes: &'static [&'static str],
    pub(crate) lights: &'static [&'static str],
    pub(crate) palettes: &'static [&'static str],
    pub(crate) styles: &'static [&'static str],
    pub(crate) camera_moves: &'static [&'static str],
    /// Distinguishes choices whose other text repeats: `{number}`.
    pub(crate) alternative: &'static str,
    /// Separator and terminator of a prompt's parts.
    pub(crate) comma: &'static str,
    pub(crate) period: &'static str,
    pub(crate) story: Story,
}

/// A story template and the values for its placeholders.
#[derive(Debug)]
pub(crate) struct Story {
    pub(crate) heroes: &'static [&'static str],
    pub(crate) places: &'static [&'static str],
    pub(crate) finds: &'static [&'static str],
    pub(crate) troubles: &'static [&'static str],
    /// `{hero}`, `{place}`, `{find}`, `{trouble}`.
    pub(crate) template: &'static str,
    /// Introduction to a story about a requested topic: `{topic}`.
    pub(crate) about: &'static str,
}
