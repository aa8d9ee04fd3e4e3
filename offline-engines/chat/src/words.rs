//! Words of a text or an identifier, and the shortening of a text for quoting.

/// Returns whether a character is a Chinese ideograph.
pub(crate) fn is_han(c: char) -> bool {
    matches!(c, '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{323af}')
}

/// Returns the lower-case words of letters, digits and apostrophes; each Chinese character is a word.
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

/// Returns the words of an identifier, separated by spaces: `cityName`, `city_name` and `city-name` become "city name".
pub(crate) fn split_identifier(name: &str) -> String {
    let mut spaced = String::with_capacity(name.len() + 4);
    let mut was_lower = false;
    for c in name.chars() {
        if c.is_uppercase() && was_lower {
            spaced.push(' ');
        }
        was_lower = c.is_lowercase() || c.is_ascii_digit();
        if c.is_alphanumeric() { spaced.extend(c.to_lowercase()) } else { spaced.push(' ') }
    }
    spaced.trim().to_owned()
}

/// Returns the first line of a text, at most `limit` characters of it, with an ellipsis if anything was cut.
pub(crate) fn shorten(text: &str, limit: usize) -> String {
    let text = text.trim();
    let line = text.lines().next().unwrap_or_default().trim_end();
    let end = line.char_indices().nth(limit).map_or(line.len(), |(at, _)| at);
    if end == text.len() { line.to_owned() } else { format!("{}…", line[..end].trim_end()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shorten_keeps_one_line_and_marks_the_cut() {
        assert_eq!(shorten("one\ntwo", 80), "one…");
        assert_eq!(shorten("ééééé", 3), "ééé…");
        assert_eq!(shorten(" all ", 3), "all");
    }
}
