//! The `.env` file. Values are literal: `$NAME` is not replaced, since keys and passwords may contain a dollar sign.

use std::{iter::Peekable, path::Path, str::Chars};

use super::{error::ConfigError, text};

/// Returns the variables of a `.env` file; none if it does not exist. Does not change the environment of the process.
pub(super) fn read(path: &Path) -> Result<Vec<(String, String)>, ConfigError> {
    let text = match text::read(path) {
        Ok(text) => text,
        Err(error) if error.is_not_found() => return Ok(Vec::new()),
        Err(error) => return Err(ConfigError(format!("{}: {error}", path.display()))),
    };
    parse(&text).map_err(|message| ConfigError(format!("{}: {message}", path.display())))
}

/// Parses lines of the form `NAME=value`. A line may begin with `export`, and `#` begins a comment at the start of a line, of
/// a value or after a space.
///
/// # Errors
/// A message with the number of the line and the name of the variable, but without the value, which may be a key.
fn parse(text: &str) -> Result<Vec<(String, String)>, String> {
    let mut variables = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start();
        if rest.is_empty() {
            return Ok(variables);
        }
        if rest.starts_with('#') {
            rest = rest.find('\n').map_or("", |end| &rest[end..]);
            continue;
        }
        let line = 1 + text[..text.len() - rest.len()].matches('\n').count();
        let invalid = |name: &str| format!("line {line}: cannot parse the value of `{name}`; put it in single quotes");
        let (mut name, mut after) = split_name(rest);
        if name == "export" && !after.starts_with('=') {
            (name, after) = split_name(after);
        }
        let value = after.strip_prefix('=').filter(|_| is_name(name));
        let value = value.ok_or_else(|| format!("line {line}: expected NAME=value"))?;
        let mut chars = value.trim_start_matches([' ', '\t']).chars().peekable();
        let value = parse_value(&mut chars).ok_or_else(|| invalid(name))?;
        variables.push((name.to_owned(), value));
        let unread: usize = chars.map(char::len_utf8).sum();
        rest = &rest[rest.len() - unread..];
    }
}

/// Returns the name at the start of the text, and the text after it without leading blanks.
fn split_name(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '.')).unwrap_or(text.len());
    (&text[..end], text[end..].trim_start_matches([' ', '\t']))
}

fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
}

/// Reads a value and the rest of its line. Returns `None` for an unclosed quote, an unknown escape or text after the value.
///
/// Nothing is special within single quotes; within double quotes and outside of quotes a backslash escapes `\`, `'`, `"`,
/// `$`, a space, and `n` for a line break. Quotes may span lines.
fn parse_value(chars: &mut Peekable<Chars<'_>>) -> Option<String> {
    let mut value = String::new();
    let mut quote = None;
    if chars.peek() == Some(&'#') {
        skip_line(chars);
        return Some(value);
    }
    while let Some(c) = chars.next() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (Some('"') | None, '\\') => value.push(match chars.next()? {
                c @ ('\\' | '\'' | '"' | '$' | ' ') => c,
                'n' => '\n',
                _ => return None,
            }),
            (None, '\'' | '"') => quote = Some(c),
            (None, '\n') => return Some(value),
            (None, '\r') if matches!(chars.peek(), None | Some('\n')) => {}
            (None, ' ' | '\t') => return is_end_of_line(chars).then_some(value),
            (Some(_) | None, c) => value.push(c),
        }
    }
    quote.is_none().then_some(value)
}

/// Reads the rest of a line; returns whether it has only blanks and a comment.
fn is_end_of_line(chars: &mut Peekable<Chars<'_>>) -> bool {
    for c in chars.by_ref() {
        match c {
            ' ' | '\t' | '\r' => {}
            '\n' => return true,
            '#' => {
                skip_line(chars);
                return true;
            }
            _ => return false,
        }
    }
    true
}

fn skip_line(chars: &mut Peekable<Chars<'_>>) {
    for c in chars.by_ref() {
        if c == '\n' {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(text: &str) -> Vec<String> {
        parse(text).unwrap().into_iter().map(|(_, value)| value).collect()
    }

    #[test]
    fn dollar_signs_are_literal_in_every_form_of_value() {
        let text = "A=sk-a$USER-1\nB=\"sk-${HOME}$1$\"\nC='$A'\nD=$$\nE=sk\\$A\nA=$(id)";
        assert_eq!(values(text), ["sk-a$USER-1", "sk-${HOME}$1$", "$A", "$$", "sk$A", "$(id)"]);
    }

    #[test]
    fn quotes_escapes_comments_and_line_ends_are_understood() {
        let text = "# a comment\r\n\r\nexport A=1\r\n  B = two\t\r\nC='it\\s #1'  # comment\r\nD=\"a \\\"b\\\"\\nc\"\r\n\
                    E=\r\nF=  # nothing\nG=a#b\nH=s\\ ix\nexport=x\nI=\"two\nlines\"\nJ='a'\"b\"c\nK=\u{e4}$\u{4f60}\nL=a=b==";
        let expected = [
            "1",
            "two",
            "it\\s #1",
            "a \"b\"\nc",
            "",
            "",
            "a#b",
            "s ix",
            "x",
            "two\nlines",
            "abc",
            "\u{e4}$\u{4f60}",
            "a=b==",
        ];
        assert_eq!(values(text), expected);
        assert_eq!(values(""), [""; 0]);
        assert_eq!(values("# only a comment"), [""; 0]);
        assert_eq!(parse("export A=1").unwrap(), [("A".to_owned(), "1".to_owned())]);
    }

    #[test]
    fn an_invalid_line_is_reported_without_its_value() {
        for (text, expected) in [
            ("A=1\nsk-secret\n", "line 2: expected NAME=value"),
            ("CHAT-KEY=sk-secret", "line 1: expected NAME=value"),
            ("=sk-secret", "line 1: expected NAME=value"),
            ("export", "line 1: expected NAME=value"),
            ("\n\nKEY=sk-secret b", "line 3: cannot parse the value of `KEY`; put it in single quotes"),
            ("KEY='sk-secret", "line 1: cannot parse the value of `KEY`; put it in single quotes"),
            ("KEY=sk-secret\\t", "line 1: cannot parse the value of `KEY`; put it in single quotes"),
        ] {
            assert_eq!(parse(text), Err(expected.to_owned()));
        }
    }
}
