//! Matches the known words in a prompt and attributes colours to subjects.

use super::leftover::{self, Kind};
use super::terms::{Meaning, Scene, Style, Subject, Time, Weather};
use super::words;
use crate::colour::Rgb;

/// The known terms of a prompt, each kind in the order of the text.
#[derive(Clone, Debug, Default)]
pub(crate) struct ParsedPrompt {
    /// Scenes, each once.
    pub(crate) scenes: Vec<Scene>,
    /// Subjects, each once, with the colour that the prompt gives them.
    pub(crate) subjects: Vec<(Subject, Option<Rgb>)>,
    pub(crate) time: Option<Time>,
    pub(crate) weather: Vec<Weather>,
    pub(crate) styles: Vec<Style>,
    /// Colours that are not attributed to a subject.
    pub(crate) colours: Vec<Rgb>,
    /// Whether [`Meaning::Futuristic`] occurs.
    pub(crate) futuristic: bool,
    /// Whether the prompt names a subject that cannot be drawn: by [`Meaning::Unknown`], or by a word that is not known at all.
    pub(crate) has_unknown_subject: bool,
}

impl ParsedPrompt {
    pub(crate) fn parse(text: &str) -> Self {
        let letters = letters(text);
        let mut matches = find(&letters);
        let kinds = leftover::classify(&letters, &known_kinds(&letters, &matches));
        for found in &mut matches {
            if is_part_of_longer_word(found, &letters, &kinds) {
                found.meaning = Meaning::Unknown;
            }
        }
        let mut prompt = Self { has_unknown_subject: leftover::has_unknown_head(&letters, &kinds), ..Self::default() };
        for (index, found) in matches.iter().enumerate() {
            match found.meaning {
                Meaning::Scene(scene) if !prompt.scenes.contains(&scene) => prompt.scenes.push(scene),
                Meaning::Subject(subject) => prompt.add_subject(subject, colour_before(&matches, index)),
                Meaning::Time(time) => prompt.time = prompt.time.or(Some(time)),
                Meaning::Weather(weather) => prompt.weather.push(weather),
                Meaning::Style(style) => prompt.styles.push(style),
                Meaning::Colour(colour) if !is_subject_colour(&matches, index) => prompt.colours.push(colour),
                Meaning::Futuristic => prompt.futuristic = true,
                Meaning::Unknown => prompt.has_unknown_subject = true,
                Meaning::Scene(_) | Meaning::Colour(_) | Meaning::Ignored => {}
            }
        }
        prompt
    }

    pub(crate) fn has_subject(&self, subject: Subject) -> bool {
        self.subjects.iter().any(|(known, _)| *known == subject)
    }

    pub(crate) fn has_style(&self, style: Style) -> bool {
        self.styles.contains(&style)
    }

    pub(crate) fn has_weather(&self, weather: Weather) -> bool {
        self.weather.contains(&weather)
    }

    fn add_subject(&mut self, subject: Subject, colour: Option<Rgb>) {
        if !self.has_subject(subject) {
            self.subjects.push((subject, colour));
        }
    }
}

/// An occurrence of a known word; positions in characters.
#[derive(Debug)]
struct Match {
    start: usize,
    end: usize,
    chinese: bool,
    meaning: Meaning,
}

/// Returns the characters of a prompt, as the known words are spelled.
fn letters(text: &str) -> Vec<char> {
    text.to_lowercase().chars().map(|letter| if letter == '-' { ' ' } else { letter }).collect()
}

/// Returns the kinds of the characters of known words. Those of styles and colours describe a subject and are none.
fn known_kinds(letters: &[char], matches: &[Match]) -> Vec<Option<Kind>> {
    let mut kinds = vec![None; letters.len()];
    for found in matches {
        let kind = match found.meaning {
            Meaning::Scene(_) | Meaning::Subject(_) | Meaning::Time(_) | Meaning::Weather(_) | Meaning::Unknown => {
                Kind::Known
            }
            Meaning::Style(_) | Meaning::Colour(_) | Meaning::Futuristic | Meaning::Ignored => Kind::Plain,
        };
        kinds[found.start..found.end].fill(Some(kind));
    }
    kinds
}

/// Returns whether a Chinese word of one character begins a longer word that is not known: neither 狗尾巴草 (foxtail) nor 鱼香肉丝 (a dish)
/// names an animal. After such a word, as in 鲤鱼 (a carp), the character is the head and has its own meaning.
fn is_part_of_longer_word(found: &Match, letters: &[char], kinds: &[Kind]) -> bool {
    let is_continued = kinds.get(found.end) == Some(&Kind::Content) && leftover::is_han(letters[found.end]);
    found.chinese
        && found.end - found.start == 1
        && matches!(found.meaning, Meaning::Subject(_) | Meaning::Scene(_))
        && is_continued
}

/// Finds the known words. Longer words are matched first and their characters removed, so that 日落 (sunset) does not also
/// match 日 (sun), nor 上海 (Shanghai) 海 (sea).
fn find(letters: &[char]) -> Vec<Match> {
    let mut letters = letters.to_vec();
    let mut entries: Vec<(Vec<char>, Meaning)> = words::TABLE
        .iter()
        .flat_map(|(words, meaning)| words.split(',').map(|word| (word.trim().chars().collect(), *meaning)))
        .collect();
    // English and Chinese words never overlap, so one order works for both.
    entries.sort_by_key(|(word, _)| std::cmp::Reverse(word.len()));
    let mut matches = Vec::new();
    for (word, meaning) in entries {
        let chinese = word.first().is_some_and(|letter| !letter.is_ascii());
        let mut start = 0;
        while start + word.len() <= letters.len() {
            let end = start + word.len();
            if letters[start..end] == word[..] && (chinese || is_whole_word(&letters, start, end)) {
                letters[start..end].fill('\0');
                matches.push(Match { start, end, chinese, meaning });
                start = end;
            } else {
                start += 1;
            }
        }
    }
    matches.sort_by_key(|found| found.start);
    matches
}

/// Returns whether the range is a whole English word, possibly before a plural ending or "y".
fn is_whole_word(letters: &[char], start: usize, end: usize) -> bool {
    let starts_word = start == 0 || !letters[start - 1].is_ascii_alphanumeric();
    let rest: String = letters[end..].iter().take_while(|letter| letter.is_ascii_alphanumeric()).collect();
    starts_word && matches!(rest.as_str(), "" | "s" | "es" | "y")
}

/// Returns whether a colour refers to a subject: at most one or two words are between them, as in "a red vintage car" or
/// 红色的小汽车.
fn refers_to(colour: &Match, subject: &Match) -> bool {
    // In characters.
    let max_distance = if colour.chinese { 4 } else { 18 };
    matches!(subject.meaning, Meaning::Subject(_))
        && subject.start >= colour.end
        && subject.start - colour.end <= max_distance
}

/// Returns the colour directly before a subject.
fn colour_before(matches: &[Match], subject: usize) -> Option<Rgb> {
    let before = matches[..subject].last()?;
    match before.meaning {
        Meaning::Colour(colour) if refers_to(before, &matches[subject]) => Some(colour),
        Meaning::Colour(_)
        | Meaning::Scene(_)
        | Meaning::Subject(_)
        | Meaning::Time(_)
        | Meaning::Weather(_)
        | Meaning::Style(_)
        | Meaning::Futuristic
        | Meaning::Unknown
        | Meaning::Ignored => None,
    }
}

/// Returns whether the match after a colour is a subject that the colour refers to.
fn is_subject_colour(matches: &[Match], colour: usize) -> bool {
    matches.get(colour + 1).is_some_and(|next| refers_to(&matches[colour], next))
}

#[cfg(test)]
mod tests;
