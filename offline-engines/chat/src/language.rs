//! Detects the language of a user message, in which the reply is written.

use crate::words::is_han;

/// A language that the engine replies in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Language {
    English,
    Chinese,
}

impl Language {
    /// Returns the language to reply in.
    ///
    /// A text is Chinese if its ideographs outnumber the words written in letters: "用 Python 排序" is Chinese. Kana mark
    /// Japanese, for which the reply is in English.
    pub(crate) fn detect(text: &str) -> Self {
        let han = text.chars().filter(|c| is_han(*c)).count();
        let kana = text.chars().any(|c| matches!(c, '\u{3040}'..='\u{30ff}'));
        let words = text.split(|c: char| !c.is_alphanumeric() || is_han(c)).filter(|word| !word.is_empty()).count();
        if han > words && !kana { Self::Chinese } else { Self::English }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn detect_returns_the_prevailing_language() {
        assert_eq!(Language::detect("请用 Python 写一个排序函数"), Language::Chinese);
        assert_eq!(Language::detect("What does 你好 mean in English, please?"), Language::English);
        assert_eq!(Language::detect("東京の天気はどうですか"), Language::English);
        assert_eq!(Language::detect(""), Language::English);
    }
}
