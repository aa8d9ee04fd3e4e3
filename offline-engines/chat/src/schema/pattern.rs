//! Generates strings that match a regular expression, by walking its syntax tree. The result is checked against the
//! compiled expression.

use regex::RegexBuilder;
use regex_syntax::hir::{Class, Hir, HirKind};

/// Maximum length of a generated string, in bytes.
const MAX_LENGTH: usize = 16_384;
/// Maximum size of the compiled expression, in bytes.
const MAX_COMPILED_SIZE: usize = 1 << 20;
/// Maximum number of optional repetitions that is tried in steps of one.
const MAX_REPEATS: u32 = 64;

/// Returns whether the expression matches anywhere in the text, as in ECMAScript.
pub(super) fn matches(pattern: &str, text: &str) -> bool {
    compile(pattern).is_ok_and(|regex| regex.is_match(text))
}

fn compile(pattern: &str) -> Result<regex::Regex, String> {
    let compiled = RegexBuilder::new(pattern).size_limit(MAX_COMPILED_SIZE).build();
    compiled.map_err(|_| {
        "`pattern` is too large or uses syntax that the built-in engine does not support (look-around, back-references)"
            .to_owned()
    })
}

/// Generates a matching string of `min..=max` characters; `variant` selects another one where the expression allows it.
pub(super) fn example(pattern: &str, min: u64, max: u64, variant: usize) -> Result<String, String> {
    let regex = compile(pattern)?;
    let tree = regex_syntax::parse(pattern).map_err(|_| "`pattern` is not a valid regular expression".to_owned())?;
    let fits = |text: &String| {
        let count = text.chars().count() as u64;
        (min..=max).contains(&count) && regex.is_match(text)
    };
    // Numbers of optional repetitions, few ones first. If the result is too short, padding may fit an unanchored end.
    let repetitions = (1..=4).chain(std::iter::once(0)).chain(5..=MAX_REPEATS).chain([128, 256, 512, 1024]);
    for more in repetitions {
        let mut text = String::new();
        if generate(&tree, more, variant, &mut text).is_none() {
            continue;
        }
        if fits(&text) {
            return Ok(text);
        }
        let missing = usize::try_from(min).unwrap_or(0).saturating_sub(text.chars().count()).min(MAX_LENGTH);
        let filler = "x".repeat(missing);
        if let Some(padded) = [format!("{text}{filler}"), format!("{filler}{text}")].into_iter().find(|text| fits(text))
        {
            return Ok(padded);
        }
    }
    Err("no text found that satisfies `pattern` and the length".to_owned())
}

/// Appends a match to `text`, with `more` repetitions beyond the minimum of each quantifier. Returns `None` if the tree matches
/// nothing or the text becomes too long.
fn generate(tree: &Hir, more: u32, variant: usize, text: &mut String) -> Option<()> {
    match tree.kind() {
        // Anchors and word boundaries are covered by the final check.
        HirKind::Empty | HirKind::Look(_) => {}
        HirKind::Literal(literal) => text.push_str(str::from_utf8(&literal.0).ok()?),
        // The length varies the characters within one string.
        HirKind::Class(class) => text.push(member(class, variant + text.len())?),
        HirKind::Repetition(repetition) => {
            let wanted =
                repetition.min.max(repetition.min.saturating_add(more).min(repetition.max.unwrap_or(u32::MAX)));
            for _ in 0..wanted {
                generate(&repetition.sub, more, variant, text)?;
                // Repetitions of an empty match never reach the length limit.
                if text.is_empty() {
                    break;
                }
            }
        }
        HirKind::Capture(capture) => generate(&capture.sub, more, variant, text)?,
        HirKind::Concat(parts) => {
            for part in parts {
                generate(part, more, variant, text)?;
            }
        }
        HirKind::Alternation(parts) => generate(parts.get(variant % parts.len().max(1))?, more, variant, text)?,
    }
    (text.len() <= MAX_LENGTH).then_some(())
}

/// Returns a character of the class, preferring ASCII: `\d` means ASCII digits in JSON Schema, but all Unicode digits in
/// the regex crate.
fn member(class: &Class, variant: usize) -> Option<char> {
    const PREFERRED: &[u8] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_. /:,@#!+";
    let contains = |c: char| match class {
        Class::Unicode(class) => class.ranges().iter().any(|range| (range.start()..=range.end()).contains(&c)),
        Class::Bytes(class) => u8::try_from(c)
            .is_ok_and(|byte| class.ranges().iter().any(|range| (range.start()..=range.end()).contains(&byte))),
    };
    let preferred: Vec<char> = PREFERRED.iter().map(|byte| char::from(*byte)).filter(|c| contains(*c)).collect();
    if !preferred.is_empty() {
        // Letters come first in the table; the first 26 candidates make values look like words.
        return preferred.get(variant % preferred.len().min(26)).copied();
    }
    match class {
        Class::Unicode(class) => class.ranges().first().map(regex_syntax::hir::ClassUnicodeRange::start),
        Class::Bytes(class) => class.ranges().first().map(|range| char::from(range.start())).filter(char::is_ascii),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn example_matches_common_patterns_and_has_the_length() {
        for pattern in [
            r"^\d{3}-\d{4}$",
            "^[A-Z]{2,5}$",
            "^(red|green|blue)$",
            r"^\+?[1-9]\d{1,14}$",
            r"^@[a-zA-Z0-9_]+$",
            "^.{3,}$",
            "[aeiou]",
            r"^\w+@\w+\.com$",
            "^$",
            r"^[^\s]+$",
            r"^(\([0-9]{3}\))?[0-9]{3}-[0-9]{4}$",
            r"\bword\b",
            r"^#[0-9a-f]{6}$",
            "^(a|b)*c?$",
        ] {
            let text = example(pattern, 0, 100, 0).unwrap();
            assert!(matches(pattern, &text), "{pattern}: {text}");
        }
        assert!((40..=60).contains(&example("^[a-z]*$", 40, 60, 0).unwrap().len()));
        assert_eq!(example("b", 10, 10, 0).unwrap().len(), 10);
    }

    #[test]
    fn unsatisfiable_pattern_is_an_error() {
        assert!(example("^(?=a)b", 0, 10, 0).is_err());
        assert!(example("^abc$", 10, 20, 0).is_err());
        assert!(example("^(((a{1000}){1000}){1000})$", 0, 10, 0).is_err());
        assert!(example("[a-z&&[0-9]]", 0, 10, 0).is_err());
        // Satisfiable, and a huge number of empty matches takes no time.
        assert!(example("(){1000000000}$", 1, 3, 0).is_ok());
    }
}
