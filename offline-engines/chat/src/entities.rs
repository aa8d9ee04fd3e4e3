//! Extracts values (names, numbers, dates and others) from a user message: the source of tool arguments and of the members of
//! generated JSON documents.

use serde_json::{Number, Value};

use crate::words::{is_han, words};

/// Values found in a text, each kind in the order of the text.
#[derive(Debug, Default)]
pub(crate) struct Entities {
    /// The text itself.
    pub(crate) text: String,
    /// All of its words, in lower case.
    pub(crate) words: Vec<String>,
    /// Names of places, people and languages: runs of capitalised words and well-known cities.
    pub(crate) names: Vec<String>,
    /// The contents of quotation marks and backticks.
    pub(crate) quoted: Vec<String>,
    /// Numbers with the lower-case word that follows, which may be empty: `(3, "days")` for "3 days".
    pub(crate) numbers: Vec<(Number, String)>,
    pub(crate) emails: Vec<String>,
    pub(crate) urls: Vec<String>,
    /// Dates as `YYYY-MM-DD`.
    pub(crate) dates: Vec<String>,
    /// An arithmetic expression such as "12 * (3 + 4)".
    pub(crate) expression: Option<String>,
}

impl Entities {
    pub(crate) fn extract(text: &str) -> Self {
        let trimmed = |word: &'_ str| word.trim_matches(|c: char| ",.;:!?()<>\"'“”".contains(c)).to_owned();
        let tokens: Vec<String> = text.split_whitespace().map(trimmed).collect();
        Self {
            text: text.to_owned(),
            words: words(text),
            names: names(text),
            quoted: quoted(text),
            numbers: numbers(text),
            emails: tokens.iter().filter(|token| is_email(token)).cloned().collect(),
            urls: tokens
                .iter()
                .filter(|token| token.starts_with("http://") || token.starts_with("https://"))
                .cloned()
                .collect(),
            dates: tokens.iter().filter(|token| is_date(token)).cloned().collect(),
            expression: expression(text),
        }
    }

    /// Returns whether the text contains a phrase, comparing whole words.
    pub(crate) fn mentions(&self, phrase: &str) -> bool {
        let phrase = words(&phrase.replace(['_', '-'], " "));
        !phrase.is_empty() && self.words.windows(phrase.len()).any(|window| window == phrase)
    }

    /// Returns the number directly before a word: 3 for `days` in "3 days".
    pub(crate) fn number_before(&self, unit: &str) -> Option<Value> {
        let unit = unit.trim_end_matches('s');
        let found = self.numbers.iter().find(|(_, after)| !unit.is_empty() && after.trim_end_matches('s') == unit);
        found.map(|(number, _)| Value::Number(number.clone()))
    }
}

/// Returns whether a text is an email address. Stricter than RFC 5322: quoted local parts are rejected.
pub(crate) fn is_email(text: &str) -> bool {
    let allowed =
        |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || "._+-".contains(c));
    let dots_separate = |part: &str| !part.starts_with('.') && !part.ends_with('.') && !part.contains("..");
    text.split_once('@').is_some_and(|(user, host)| {
        allowed(user)
            && dots_separate(user)
            && allowed(host)
            && host.contains('.')
            && host.split('.').all(|label| {
                !label.is_empty() && !label.starts_with('-') && !label.ends_with('-') && !label.contains(['_', '+'])
            })
    })
}

/// Returns whether a text is a date as `YYYY-MM-DD`. Days after the 28th are rejected, because their validity depends on
/// the month.
pub(crate) fn is_date(text: &str) -> bool {
    let parts: Vec<_> = text.split('-').collect();
    let number = |at: usize, digits: usize| {
        parts
            .get(at)
            .filter(|part| part.len() == digits && part.bytes().all(|b| b.is_ascii_digit()))
            .and_then(|part| part.parse::<u32>().ok())
    };
    parts.len() == 3
        && number(0, 4).is_some()
        && number(1, 2).is_some_and(|month| (1..=12).contains(&month))
        && number(2, 2).is_some_and(|day| (1..=28).contains(&day))
}

fn quoted(text: &str) -> Vec<String> {
    let pairs = [('"', '"'), ('“', '”'), ('「', '」'), ('`', '`'), ('《', '》')];
    let mut found = Vec::new();
    let mut rest = text;
    while let Some((at, close)) =
        rest.char_indices().find_map(|(at, c)| pairs.iter().find(|pair| pair.0 == c).map(|pair| (at, pair.1)))
    {
        let inside = rest[at..].chars().next().map_or(rest.len(), |open| at + open.len_utf8());
        let Some(end) = rest[inside..].find(close) else { break };
        let value = rest[inside..inside + end].trim();
        if !value.is_empty() {
            found.push(value.to_owned());
        }
        rest = &rest[inside + end + close.len_utf8()..];
    }
    found
}

/// Returns standalone numbers, each with the word that follows; digits within dates, times, addresses and words are skipped.
fn numbers(text: &str) -> Vec<(Number, String)> {
    let chars: Vec<char> = text.chars().collect();
    // Characters that make the digits after them part of a longer token.
    let joins = |c: char| c.is_ascii_alphanumeric() || ":/_.-@".contains(c);
    let mut found = Vec::new();
    let mut at = 0;
    while at < chars.len() {
        if !chars[at].is_ascii_digit() {
            at += 1;
            continue;
        }
        let start = at;
        while at < chars.len()
            && (chars[at].is_ascii_digit()
                || (".,".contains(chars[at]) && chars.get(at + 1).is_some_and(char::is_ascii_digit)))
        {
            at += 1;
        }
        let digits: String = chars[start..at].iter().filter(|c| **c != ',').collect();
        let before = start.checked_sub(1).map(|before| chars[before]);
        let negative = before == Some('-') && start.checked_sub(2).is_none_or(|before| chars[before].is_whitespace());
        let joined = before.is_some_and(joins) && !negative
            || chars.get(at).is_some_and(|c| ":/_-@".contains(*c))
                && chars.get(at + 1).is_some_and(char::is_ascii_alphanumeric);
        if joined {
            continue;
        }
        let text = if negative { format!("-{digits}") } else { digits };
        let number =
            text.parse::<i64>().ok().map(Number::from).or_else(|| text.parse().ok().and_then(Number::from_f64));
        let after: String =
            chars[at..].iter().skip_while(|c| c.is_whitespace()).take_while(|c| c.is_alphabetic()).take(40).collect();
        found.extend(number.map(|number| (number, after.to_lowercase())));
    }
    found
}

/// Returns the longest part of the text that is an arithmetic expression.
fn expression(text: &str) -> Option<String> {
    text.split(|c: char| !(c.is_ascii_digit() || " .+-*/^()%×÷".contains(c)))
        .map(|part| part.trim().trim_end_matches(['.', ' ']))
        .filter(|part| part.bytes().filter(u8::is_ascii_digit).count() >= 2)
        .filter(|part| {
            part.trim_start_matches('-').contains(['+', '-', '*', '/', '^', '×', '÷', '%']) && !is_date(part)
        })
        .max_by_key(|part| part.len())
        .map(str::to_owned)
}

/// Well-known cities, found even if the text does not capitalise them.
const CITIES: &[&str] = &[
    "paris",
    "london",
    "tokyo",
    "berlin",
    "new york",
    "san francisco",
    "beijing",
    "shanghai",
    "shenzhen",
    "hong kong",
    "singapore",
    "madrid",
    "rome",
    "sydney",
    "boston",
    "chicago",
    "seattle",
    "los angeles",
    "toronto",
    "mumbai",
    "seoul",
    "moscow",
    "vienna",
    "amsterdam",
    "北京",
    "上海",
    "广州",
    "深圳",
    "杭州",
    "成都",
    "香港",
    "台北",
    "巴黎",
    "伦敦",
    "东京",
    "纽约",
    "柏林",
    "新加坡",
    "首尔",
];

/// Words that are capitalised at the beginning of a sentence without being names.
const SENTENCE_STARTERS: &str = " a an and are ask at book can calculate call check compare convert could create do does fetch find for get give hello help \
    hey hi how i i'd i'll i'm if in is it let let's list look make my need now on order please remind schedule search send set should show \
    tell thanks that the then there this to translate use want we weather what what's when where which who whose why will would write you your ";

/// Returns the names within sentences; failing those, names at the beginning of a sentence; failing those, known cities.
fn names(text: &str) -> Vec<String> {
    let mut within = Vec::new();
    let mut first = Vec::new();
    for sentence in text.split_inclusive(['.', '!', '?', '\n', ':', ';']) {
        for (index, part) in sentence.split([',', '(', ')', '"', '“', '”']).enumerate() {
            let mut run: Vec<&str> = Vec::new();
            let mut at_start = false;
            for (at, word) in part.split_whitespace().chain([""]).enumerate() {
                let word = word.trim_matches(|c: char| !c.is_alphanumeric());
                let word = word.strip_suffix("'s").or(word.strip_suffix("’s")).unwrap_or(word);
                let capital = word.chars().next().is_some_and(char::is_uppercase);
                let starter = SENTENCE_STARTERS.contains(&format!(" {} ", word.to_lowercase()));
                if capital && !starter {
                    at_start = if run.is_empty() { at == 0 && index == 0 } else { at_start };
                    run.push(word);
                } else if !run.is_empty() {
                    let name = run.join(" ");
                    run.clear();
                    let state = name.len() == 2 && index > 0 && name.bytes().all(|b| b.is_ascii_uppercase());
                    match within.last_mut().filter(|_| state) {
                        // A US state belongs to the city before it: "San Francisco, CA".
                        Some(city) => *city = format!("{city}, {name}"),
                        None if at_start => first.push(name),
                        None => within.push(name),
                    }
                }
            }
        }
    }
    if !within.is_empty() {
        return within;
    }
    if !first.is_empty() {
        return first;
    }
    let lower = text.to_ascii_lowercase();
    let mut cities: Vec<_> = CITIES
        .iter()
        .filter_map(|city| lower.find(city).map(|at| (at, *city)))
        .filter(|(at, city)| {
            let edge = |c: Option<char>| c.is_none_or(|c| !c.is_alphanumeric() || is_han(c));
            !city.is_ascii() || edge(lower[..*at].chars().next_back()) && edge(lower[at + city.len()..].chars().next())
        })
        .collect();
    cities.sort_unstable();
    cities
        .into_iter()
        .map(|(at, city)| text[at..at + city.len()].split(' ').map(capitalised).collect::<Vec<_>>().join(" "))
        .collect()
}

fn capitalised(word: &str) -> String {
    let mut chars = word.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_finds_places_in_any_notation() {
        assert_eq!(names("What's the weather in Paris and London?"), ["Paris", "London"]);
        assert_eq!(names("What is the weather like in San Francisco, CA today?"), ["San Francisco, CA"]);
        assert_eq!(names("weather in new york please"), ["New York"]);
        assert_eq!(names("北京和上海的天气怎么样？"), ["北京", "上海"]);
        assert_eq!(names("Paris weather?"), ["Paris"]);
        assert!(names("What is the weather?").is_empty());
    }

    #[test]
    fn numbers_skips_digits_within_other_tokens() {
        let values: Vec<_> = numbers("-3 apples, 1,250.5 kg on 2026-01-02 at 10:30, v2 of 7.")
            .into_iter()
            .map(|(n, _)| n.to_string())
            .collect();
        assert_eq!(values, ["-3", "1250.5", "7"]);
    }

    #[test]
    fn units_expressions_and_quotations_are_found() {
        assert_eq!(Entities::extract("book 2 rooms for 3 nights").number_before("night"), Some(3.into()));
        assert_eq!(expression("What is 12 * (3 + 4)?").as_deref(), Some("12 * (3 + 4)"));
        assert_eq!(quoted("say \"one two\" and “三”"), ["one two", "三"]);
    }
}
