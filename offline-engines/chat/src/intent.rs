//! Classifies the last user message, which selects the kind of prose reply.

use crate::code_examples::{self, Example};
use crate::words::words;

/// The kind of reply that the last user message asks for, found by keywords.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Intent<'a> {
    Greeting,
    /// "Say this is a test": the text to repeat.
    Echo(&'a str),
    /// A prompt for an image engine, or for a video engine if `video` is set.
    Prompt {
        video: bool,
    },
    Story,
    Code(&'static Example),
    Other,
}

const GREETINGS: &[&str] = &["hello", "hi", "hey", "hiya", "greetings", "howdy", "thanks", "thank", "good", "morning"];
const GREETINGS_ZH: &[&str] = &["你好", "您好", "嗨", "哈喽", "早上好", "晚上好", "谢谢", "大家好"];

impl<'a> Intent<'a> {
    /// Classifies the last user message; `earlier` is the user message before it.
    pub(crate) fn detect(last: &'a str, earlier: Option<&'a str>) -> Self {
        let words = words(last);
        let has_word = |options: &[&str]| words.iter().any(|word| options.contains(&word.as_str()));
        let contains = |options: &[&str]| options.iter().any(|option| last.contains(option));

        if is_greeting(last, &words) {
            return Self::Greeting;
        }
        if let Some(text) = text_to_repeat(last) {
            return Self::Echo(text);
        }
        let video = has_word(&["video", "clip", "animation", "film"]) || contains(&["视频", "动画", "短片"]);
        let image =
            has_word(&["image", "picture", "photo", "painting", "illustration", "landscape", "portrait", "drawing"])
                || contains(&["图", "画", "照片", "风景", "插画"]);
        if (has_word(&["prompt", "prompts"]) || contains(&["提示词", "提示语", "描述词"])) && (image || video)
        {
            // "A prompt for an image of a film set" is an image prompt.
            return Self::Prompt { video: video && !has_word(&["image", "picture", "photo"]) };
        }
        if has_word(&["story", "tale", "stories", "fable"]) || contains(&["故事", "童话", "小说"]) {
            return Self::Story;
        }
        if let Some(example) = code_examples::find(last) {
            return Self::Code(example);
        }
        // "Can you show an example?" refers to the message before it; a longer message has a subject of its own.
        let refers_back = words.len() <= 10
            && (has_word(&["example", "examples", "show", "sample"]) || contains(&["例子", "示例", "举例"]));
        if refers_back && let Some(example) = earlier.and_then(code_examples::find) {
            return Self::Code(example.follow_up());
        }
        Self::Other
    }
}

/// Returns whether the text is a greeting and little more: at most 5 words, or 8 characters of Chinese.
fn is_greeting(text: &str, words: &[String]) -> bool {
    let english = words.len() <= 5
        && words.first().is_some_and(|first| GREETINGS.contains(&first.as_str()))
        && (words[0] != "good"
            || words.get(1).is_some_and(|w| ["morning", "evening", "day", "afternoon"].contains(&w.as_str())));
    english || (text.chars().count() <= 8 && GREETINGS_ZH.iter().any(|greeting| text.starts_with(greeting)))
}

/// Returns the text behind "say" and its synonyms, unless it is longer than 200 characters.
fn text_to_repeat(text: &str) -> Option<&str> {
    ["say ", "repeat after me", "repeat ", "echo ", "请说", "跟我说", "重复"]
        .iter()
        .find_map(|opening| {
            text.get(..opening.len()).filter(|start| start.eq_ignore_ascii_case(opening)).map(|_| opening)
        })
        .map(|opening| text[opening.len()..].trim_matches(|c: char| c.is_whitespace() || ":：\"'“”「」".contains(c)))
        .filter(|rest| !rest.is_empty() && rest.chars().count() <= 200)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn detect(text: &str) -> Intent<'_> {
        Intent::detect(text, None)
    }

    #[test]
    fn keywords_determine_the_intent() {
        assert_eq!(detect("Hello"), Intent::Greeting);
        assert_eq!(detect("你好"), Intent::Greeting);
        assert_eq!(detect("Say this is a test"), Intent::Echo("this is a test"));
        assert_eq!(detect("Suggest a creative prompt for a landscape image"), Intent::Prompt { video: false });
        assert_eq!(detect("给我一个视频提示词"), Intent::Prompt { video: true });
        assert_eq!(detect("Write a creative story"), Intent::Story);
        assert!(matches!(detect("How do I sort a list in Python?"), Intent::Code(_)));
        assert_eq!(detect("What is AI?"), Intent::Other);
    }

    #[test]
    fn request_for_an_example_refers_to_the_earlier_message() {
        let intent = Intent::detect("Can you show an example?", Some("How do I sort a list in Python?"));
        assert!(matches!(intent, Intent::Code(_)));
    }
}
