//! Texts that match a regular expression, made by walking its syntax tree and checked against the expression itself.

use regex::RegexBuilder;
use regex_syntax::hir::{Class, Hir, HirKind};

/// A regular expression may describe endless texts; what grows past this is given up.
const LONGEST: usize = 16_384;
/// Size of the compiled expression, in bytes.
const LARGEST: usize = 1 << 20;
/// How often optional repetitions are tried, beyond the least.
const REPEATS: u32 = 64;

/// As in ECMAScript the expression may match anywhere in the text.
pub(super) fn matches(pattern: &str, text: &str) -> bool {
    compile(pattern).is_ok_and(|regex| regex.is_match(text))
}

fn compile(pattern: &str) -> Result<regex::Regex, String> {
    let compiled = RegexBuilder::new(pattern).size_limit(LARGEST).build();
    compiled.map_err(|_| {
        "`pattern` uses syntax the offline engine cannot follow (look-around, back-references) or is too large"
            .to_owned()
    })
}

/// A matching text of `least..=most` characters; `variant` asks for another one where there is a choice.
pub(super) fn example(pattern: &str, least: u64, most: u64, variant: usize) -> Result<String, String> {
    let regex = compile(pattern)?;
    let tree = regex_syntax::parse(pattern).map_err(|_| "`pattern` is no regular expression".to_owned())?;
    let fits = |text: &String| {
        let count = text.chars().count() as u64;
        (least..=most).contains(&count) && regex.is_match(text)
    };
    // Fewest repetitions beyond the least first; a pattern with a loose end is filled up instead.
    let ladder = (1..=4).chain(std::iter::once(0)).chain(5..=REPEATS).chain([128, 256, 512, 1024]);
    for more in ladder {
        let mut text = String::new();
        if grow(&tree, more, variant, &mut text).is_none() {
            continue;
        }
        if fits(&text) {
            return Ok(text);
        }
        let missing = usize::try_from(least).unwrap_or(0).saturating_sub(text.chars().count()).min(LONGEST);
        let filler = "x".repeat(missing);
        if let Some(padded) = [format!("{text}{filler}"), format!("{filler}{text}")].into_iter().find(|text| fits(text))
        {
            return Ok(padded);
        }
    }
    Err("no text found that matches `pattern` and has the right length".to_owned())
}

/// None when the tree cannot match anything or the text grows too long.
fn grow(tree: &Hir, more: u32, variant: usize, text: &mut String) -> Option<()> {
    match tree.kind() {
        // Anchors and word boundaries are left to the final check.
        HirKind::Empty | HirKind::Look(_) => {}
        HirKind::Literal(literal) => text.push_str(str::from_utf8(&literal.0).ok()?),
        HirKind::Class(class) => text.push(member(class, variant + text.len())?),
        HirKind::Repetition(repetition) => {
            let wanted =
                repetition.min.max(repetition.min.saturating_add(more).min(repetition.max.unwrap_or(u32::MAX)));
            for _ in 0..wanted {
                grow(&repetition.sub, more, variant, text)?;
                // Empty parts repeated a billion times would never reach the limit on length.
                if text.is_empty() {
                    break;
                }
            }
        }
        HirKind::Capture(capture) => grow(&capture.sub, more, variant, text)?,
        HirKind::Concat(parts) => {
            for part in parts {
                grow(part, more, variant, text)?;
            }
        }
        HirKind::Alternation(parts) => grow(parts.get(variant % parts.len().max(1))?, more, variant, text)?,
    }
    (text.len() <= LONGEST).then_some(())
}

/// A character of the class, a plain one if it has any: `\d` means ASCII digits to JSON Schema, and more to this library.
fn member(class: &Class, variant: usize) -> Option<char> {
    const PLAIN: &[u8] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_. /:,@#!+";
    let holds = |c: char| match class {
        Class::Unicode(class) => class.ranges().iter().any(|range| (range.start()..=range.end()).contains(&c)),
        Class::Bytes(class) => u8::try_from(c)
            .is_ok_and(|byte| class.ranges().iter().any(|range| (range.start()..=range.end()).contains(&byte))),
    };
    let plain: Vec<char> = PLAIN.iter().map(|byte| char::from(*byte)).filter(|c| holds(*c)).collect();
    if !plain.is_empty() {
        // Letters come first in the table; stay among the first so that names look like names.
        return plain.get(variant % plain.len().min(26)).copied();
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
    fn everyday_patterns_get_a_match() {
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
    fn what_cannot_be_met_is_said() {
        assert!(example("^(?=a)b", 0, 10, 0).is_err());
        assert!(example("^abc$", 10, 20, 0).is_err());
        assert!(example("^(((a{1000}){1000}){1000})$", 0, 10, 0).is_err());
        assert!(example("[a-z&&[0-9]]", 0, 10, 0).is_err());
        assert!(example("(){1000000000}$", 1, 3, 0).is_ok());
    }
}
