//! What is understood of a conversation: which language it is in, what kind of thing is asked, and about what.

use crate::code::{self, Example};
use crate::{Request, Role};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Language {
    English,
    Chinese,
}

/// What the last user turn wants, as far as plain words tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Intent<'a> {
    Greeting,
    /// "Say this is a test": the words to say.
    Echo(&'a str),
    /// A prompt for an image engine, or for a video engine when `moving`.
    Prompt {
        moving: bool,
    },
    Story,
    Code(&'static Example),
    Other,
}

/// The conversation, read.
#[derive(Debug)]
pub(crate) struct Reading<'a> {
    pub(crate) language: Language,
    pub(crate) intent: Intent<'a>,
    /// The last user turn's text; empty when nobody asked anything.
    pub(crate) last: &'a str,
    pub(crate) user_turns: usize,
    /// The user turn before the last one.
    pub(crate) earlier: Option<&'a str>,
    /// What came with the last user turn.
    pub(crate) attachments: &'a [String],
    /// Results of calls made since the last user turn.
    pub(crate) results: Vec<&'a str>,
}

impl<'a> Reading<'a> {
    pub(crate) fn of(request: &'a Request) -> Self {
        let asked: Vec<_> = request.turns.iter().filter(|turn| turn.role == Role::User).collect();
        let last_turn = asked.last().copied();
        let last = last_turn.map_or("", |turn| turn.text.trim());
        let after = request.turns.iter().rposition(|turn| turn.role == Role::User).map_or(0, |at| at + 1);
        let results = request.turns[after..].iter().filter(|turn| turn.role == Role::Tool);
        let earlier = asked.iter().rev().skip(1).map(|turn| turn.text.trim()).find(|text| !text.is_empty());
        Self {
            language: language(last),
            intent: intent(last, earlier),
            last,
            user_turns: asked.len(),
            earlier,
            attachments: last_turn.map_or(&[], |turn| &turn.attachments),
            results: results.map(|turn| turn.text.trim()).collect(),
        }
    }

    /// The question, short enough to repeat.
    pub(crate) fn quote(&self) -> String {
        clip(self.last, 80)
    }

    /// What the question is about, without the words that make it a question.
    pub(crate) fn topic(&self) -> String {
        clip(topic(self.last), 60)
    }
}

/// The first line of a text, at most `limit` characters of it, marked when something is missing.
pub(crate) fn clip(text: &str, limit: usize) -> String {
    let text = text.trim();
    let line = text.lines().next().unwrap_or_default().trim_end();
    let end = line.char_indices().nth(limit).map_or(line.len(), |(at, _)| at);
    if end == text.len() { line.to_owned() } else { format!("{}…", line[..end].trim_end()) }
}

pub(crate) fn is_han(c: char) -> bool {
    matches!(c, '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{323af}')
}

/// Chinese when its characters outnumber the words written in letters: "用 Python 排序" is Chinese. Kana make it Japanese,
/// which is answered in English.
fn language(text: &str) -> Language {
    let han = text.chars().filter(|c| is_han(*c)).count();
    let kana = text.chars().any(|c| matches!(c, '\u{3040}'..='\u{30ff}'));
    let words = text.split(|c: char| !c.is_alphanumeric() || is_han(c)).filter(|word| !word.is_empty()).count();
    if han > words && !kana { Language::Chinese } else { Language::English }
}

/// Lower-case words of letters and digits; each Chinese character stands alone.
pub(crate) fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    for run in text.split(|c: char| !c.is_alphanumeric() && c != '\'') {
        let mut word = String::new();
        for c in run.chars() {
            if is_han(c) {
                words.extend((!word.is_empty()).then(|| std::mem::take(&mut word)));
                words.push(c.to_string());
            } else {
                word.extend(c.to_lowercase());
            }
        }
        words.extend((!word.is_empty()).then_some(word));
    }
    words
}

const GREETINGS: &[&str] = &["hello", "hi", "hey", "hiya", "greetings", "howdy", "thanks", "thank", "good", "morning"];
const GREETINGS_ZH: &[&str] = &["你好", "您好", "嗨", "哈喽", "早上好", "晚上好", "谢谢", "大家好"];

fn intent<'a>(last: &'a str, earlier: Option<&'a str>) -> Intent<'a> {
    let words = words(last);
    let has = |options: &[&str]| words.iter().any(|word| options.contains(&word.as_str()));
    let says = |options: &[&str]| options.iter().any(|option| last.contains(option));

    if is_greeting(last, &words) {
        return Intent::Greeting;
    }
    if let Some(said) = echo(last) {
        return Intent::Echo(said);
    }
    let moving = has(&["video", "clip", "animation", "film"]) || says(&["视频", "动画", "短片"]);
    let picture = has(&["image", "picture", "photo", "painting", "illustration", "landscape", "portrait", "drawing"])
        || says(&["图", "画", "照片", "风景", "插画"]);
    if (has(&["prompt", "prompts"]) || says(&["提示词", "提示语", "描述词"])) && (picture || moving) {
        return Intent::Prompt { moving: moving && !has(&["image", "picture", "photo"]) };
    }
    if has(&["story", "tale", "stories", "fable"]) || says(&["故事", "童话", "小说"]) {
        return Intent::Story;
    }
    if let Some(example) = code::find(last) {
        return Intent::Code(example);
    }
    // "Can you show an example?" leans on the question before it.
    let leaning =
        words.len() <= 10 && (has(&["example", "examples", "show", "sample"]) || says(&["例子", "示例", "举例"]));
    if leaning && let Some(example) = earlier.and_then(code::find) {
        return Intent::Code(example.follow_up());
    }
    Intent::Other
}

fn is_greeting(text: &str, words: &[String]) -> bool {
    let english = words.len() <= 5
        && words.first().is_some_and(|first| GREETINGS.contains(&first.as_str()))
        && (words[0] != "good"
            || words.get(1).is_some_and(|w| ["morning", "evening", "day", "afternoon"].contains(&w.as_str())));
    english || (text.chars().count() <= 8 && GREETINGS_ZH.iter().any(|greeting| text.starts_with(greeting)))
}

fn echo(text: &str) -> Option<&str> {
    ["say ", "repeat after me", "repeat ", "echo ", "请说", "跟我说", "重复"]
        .iter()
        .find_map(|opening| {
            text.get(..opening.len()).filter(|start| start.eq_ignore_ascii_case(opening)).map(|_| opening)
        })
        .map(|opening| text[opening.len()..].trim_matches(|c: char| c.is_whitespace() || ":：\"'“”「」".contains(c)))
        .filter(|said| !said.is_empty() && said.chars().count() <= 200)
}

/// Openings that carry no topic, the longer ones first.
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

    fn intent_of(text: &str) -> Intent<'_> {
        intent(text, None)
    }

    #[test]
    fn plain_words_tell_what_is_wanted() {
        assert_eq!(intent_of("Hello"), Intent::Greeting);
        assert_eq!(intent_of("你好"), Intent::Greeting);
        assert_eq!(intent_of("Say this is a test"), Intent::Echo("this is a test"));
        assert_eq!(intent_of("Suggest a creative prompt for a landscape image"), Intent::Prompt { moving: false });
        assert_eq!(intent_of("给我一个视频提示词"), Intent::Prompt { moving: true });
        assert_eq!(intent_of("Write a creative story"), Intent::Story);
        assert!(matches!(intent_of("How do I sort a list in Python?"), Intent::Code(_)));
        assert_eq!(intent_of("What is AI?"), Intent::Other);
        assert!(matches!(intent("Can you show an example?", Some("How do I sort a list in Python?")), Intent::Code(_)));
    }

    #[test]
    fn the_language_is_the_one_mainly_written() {
        assert_eq!(language("请用 Python 写一个排序函数"), Language::Chinese);
        assert_eq!(language("What does 你好 mean in English, please?"), Language::English);
        assert_eq!(language("東京の天気はどうですか"), Language::English);
        assert_eq!(language(""), Language::English);
    }

    #[test]
    fn a_quote_is_one_short_line() {
        assert_eq!(clip("one\ntwo", 80), "one…");
        assert_eq!(clip("ééééé", 3), "ééé…");
        assert_eq!(clip(" all ", 3), "all");
        assert_eq!(topic("What is AI?"), "AI");
        assert_eq!(topic("什么是人工智能？"), "人工智能");
    }
}
