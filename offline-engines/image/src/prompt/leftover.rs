//! Finds out whether a prompt names a subject that cannot be drawn: a noun among the words that remain without the known ones.
//!
//! There is no dictionary of nouns, so a word is judged by its place. In both languages the head of a noun phrase is its last word: in "a
//! quiet morning" and 宁静的早晨 the remaining word describes a known one, in "an elephant at sunset" and 日落时的大象 it is the subject.

use super::plain_words::{
    CHINESE_CHARACTERS, CHINESE_WORDS, DETERMINERS, ENDINGS, ENGLISH, MODIFIER_MARKS, SEPARATORS,
};

/// What a character belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A known word that can be the head of a phrase.
    Known,
    /// A word that names no subject.
    Plain,
    /// Any other word.
    Content,
    /// A particle that makes a modifier of the words before it.
    Mark,
    /// The end of a phrase: punctuation, a preposition, a determiner.
    Break,
    Space,
}

pub(super) fn is_han(letter: char) -> bool {
    ('\u{3400}'..='\u{9fff}').contains(&letter)
}

/// Completes the kinds of all characters, of which those of known words are set.
pub(super) fn classify(letters: &[char], known: &[Option<Kind>]) -> Vec<Kind> {
    let mut kinds: Vec<Kind> = letters
        .iter()
        .zip(known)
        .map(|(letter, known)| match known {
            Some(kind) => *kind,
            None if letter.is_alphanumeric() => Kind::Content,
            None if letter.is_whitespace() => Kind::Space,
            // "the sun's"
            None if matches!(letter, '\'' | '’') => Kind::Plain,
            None => Kind::Break,
        })
        .collect();
    for word in CHINESE_WORDS.split_whitespace() {
        let word: Vec<char> = word.chars().collect();
        for start in 0..(letters.len() + 1).saturating_sub(word.len()) {
            let range = start..start + word.len();
            if letters[range.clone()] == word[..] && kinds[range.clone()].iter().all(|kind| *kind == Kind::Content) {
                kinds[range].fill(Kind::Plain);
            }
        }
    }
    for (letter, kind) in letters.iter().zip(&mut kinds) {
        if *kind == Kind::Content && MODIFIER_MARKS.contains(*letter) {
            *kind = Kind::Mark;
        } else if *kind == Kind::Content && CHINESE_CHARACTERS.contains(*letter) {
            *kind = Kind::Plain;
        }
    }
    classify_words(letters, &mut kinds);
    kinds
}

/// Classifies the words of other scripts than Chinese.
fn classify_words(letters: &[char], kinds: &mut [Kind]) {
    let is_in = |list: &str, word: &str| list.split_whitespace().any(|listed| listed == word);
    let mut start = 0;
    let mut follows_determiner = false;
    while start < letters.len() {
        let is_word = |index: &usize| letters[*index].is_alphanumeric() && !is_han(letters[*index]);
        let end = (start..letters.len()).find(|index| !is_word(index)).unwrap_or(letters.len());
        if end == start {
            start += 1;
            continue;
        }
        let word: String = letters[start..end].iter().collect();
        let singular = word.strip_suffix("es").filter(|singular| is_in(ENGLISH, singular)).or(word.strip_suffix('s'));
        // Directly after a determiner it is a noun, as in "a pudding", unless more adjectives follow.
        let rest: String = letters[end..].iter().take(5).collect();
        let may_be_adjective = !follows_determiner || rest.starts_with(',') || rest == " and ";
        let is_adjective = may_be_adjective
            && word.len() >= 6
            && !word.ends_with("eed")
            && ENDINGS.iter().any(|ending| word.ends_with(ending));
        let is_determiner = is_in(DETERMINERS, &word);
        let kind = if kinds[start] != Kind::Content {
            // Also the ending of a plural, which is not part of the match.
            kinds[start]
        } else if is_determiner || is_in(SEPARATORS, &word) {
            Kind::Break
        } else if is_adjective
            || end - start == 1
            || word.contains(|letter: char| letter.is_numeric())
            || is_in(ENGLISH, singular.unwrap_or(&word))
            || is_in(ENGLISH, &word)
        {
            Kind::Plain
        } else {
            Kind::Content
        };
        kinds[start..end].fill(kind);
        follows_determiner = is_determiner;
        start = end;
    }
}

/// Returns whether a word that is neither known nor plain is the head of a phrase.
pub(super) fn has_unknown_head(letters: &[char], kinds: &[Kind]) -> bool {
    // The last word of the phrase that is not plain.
    let mut head = Kind::Break;
    for (index, (&letter, &kind)) in letters.iter().zip(kinds).enumerate() {
        if is_han(letter) {
            let next = kinds.get(index + 1).copied().unwrap_or(Kind::Break);
            if head == Kind::Content
                || kind == Kind::Content && !matches!(next, Kind::Content | Kind::Known | Kind::Mark)
            {
                return true;
            }
            head = Kind::Break;
            continue;
        }
        if head == Kind::Content && kind == Kind::Break {
            return true;
        }
        if !matches!(kind, Kind::Plain | Kind::Mark | Kind::Space) {
            head = kind;
        }
    }
    head == Kind::Content
}
