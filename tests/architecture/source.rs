//! Rust source files as tokens, without comments, literals and test code. The tests search in these tokens, so that neither
//! formatting nor a comment misleads them.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Returns the root of the repository.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Reads a file of the repository.
pub(crate) fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Returns every Rust file below `directory`, in the order of the file system.
pub(crate) fn rust_files(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let (directories, files): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
    let below = directories.iter().flat_map(|directory| rust_files(directory));
    files.into_iter().filter(|path| path.extension().is_some_and(|end| end == "rs")).chain(below).collect()
}

/// Splits production code into identifiers, `::` and single punctuation characters. Comments, string and character
/// literals, and items under `#[cfg(test)]` are left out; the code after such an item is kept.
pub(crate) fn production_tokens(text: &str) -> Vec<String> {
    without_test_items(&tokens(text))
}

/// Returns whether `tokens` contains the tokens of `pattern` in sequence.
pub(crate) fn contains(tokens: &[String], pattern: &str) -> bool {
    let pattern = self::tokens(pattern);
    tokens.windows(pattern.len()).any(|window| window == pattern)
}

/// Returns whether a token is an identifier or a keyword.
pub(crate) fn is_word(token: &str) -> bool {
    token.starts_with(|char: char| char.is_alphabetic() || char == '_')
}

fn tokens(text: &str) -> Vec<String> {
    let chars: Vec<char> = text.chars().collect();
    let (mut tokens, mut at) = (Vec::new(), 0);
    while at < chars.len() {
        let rest = &chars[at..];
        let word = rest.iter().take_while(|char| char.is_alphanumeric() || **char == '_').count();
        let skipped = comment_or_literal(rest);
        if skipped > 0 {
            at += skipped;
        } else if word > 0 {
            tokens.push(rest[..word].iter().collect());
            at += word;
        } else if rest.starts_with(&[':', ':']) {
            tokens.push("::".to_owned());
            at += 2;
        } else {
            if !rest[0].is_whitespace() {
                tokens.push(rest[0].to_string());
            }
            at += 1;
        }
    }
    tokens
}

/// Returns the length of the comment or literal at the beginning of `rest`, 0 if there is none.
fn comment_or_literal(rest: &[char]) -> usize {
    let prefix = rest.iter().take_while(|char| matches!(char, 'b' | 'c' | 'r')).count();
    let hashes = rest[prefix..].iter().take_while(|char| **char == '#').count();
    let raw = prefix > 0 && rest[prefix - 1] == 'r';
    match rest {
        ['/', '/', ..] => rest.iter().position(|char| *char == '\n').unwrap_or(rest.len()),
        ['/', '*', ..] => {
            let (mut depth, mut at) = (0, 0);
            loop {
                match &rest[at..] {
                    ['/', '*', ..] => (depth, at) = (depth + 1, at + 2),
                    ['*', '/', ..] if depth == 1 => return at + 2,
                    ['*', '/', ..] => (depth, at) = (depth - 1, at + 2),
                    [] => return at,
                    _ => at += 1,
                }
            }
        }
        // An escaped character, which may be a quote. A lifetime has no closing quote after its first character.
        ['\'', '\\', ..] => 3 + rest[3..].iter().position(|char| *char == '\'').unwrap_or(0) + 1,
        ['\'', _, '\'', ..] => 3,
        _ if raw && rest.get(prefix + hashes) == Some(&'"') => {
            let end: Vec<char> = ['"'].into_iter().chain(['#'].repeat(hashes)).collect();
            let start = prefix + hashes + 1;
            let closing = rest[start..].windows(end.len()).position(|window| window == end);
            closing.map_or(rest.len(), |closing| start + closing + end.len())
        }
        _ if prefix <= 1 && rest.get(prefix) == Some(&'"') => {
            let mut at = prefix + 1;
            while at < rest.len() && rest[at] != '"' {
                at += if rest[at] == '\\' { 2 } else { 1 };
            }
            at + 1
        }
        _ => 0,
    }
}

fn without_test_items(tokens: &[String]) -> Vec<String> {
    let attribute = self::tokens("#[cfg(test)]");
    let (mut kept, mut at) = (Vec::with_capacity(tokens.len()), 0);
    while at < tokens.len() {
        if tokens[at..].starts_with(&attribute) {
            at += attribute.len();
            at += item_length(&tokens[at..]);
        } else {
            kept.push(tokens[at].clone());
            at += 1;
        }
    }
    kept
}

/// Returns the number of tokens up to the end of the item, statement or field at the beginning of `tokens`: a closing
/// brace or a semicolon outside all brackets, for a field also a comma or the end of the enclosing block.
fn item_length(tokens: &[String]) -> usize {
    // An item or a statement begins with one of these or with a further attribute, a field with another word.
    const KEYWORDS: [&str; 16] = [
        "async",
        "const",
        "enum",
        "extern",
        "fn",
        "impl",
        "let",
        "macro_rules",
        "mod",
        "pub",
        "static",
        "struct",
        "trait",
        "type",
        "union",
        "use",
    ];
    let is_item = KEYWORDS.contains(&tokens[0].as_str()) || tokens[0] == "#";
    let mut depth = 0;
    for (at, token) in tokens.iter().enumerate() {
        match token.as_str() {
            "{" | "(" | "[" => depth += 1,
            "}" if depth == 0 => return at,
            "}" if depth == 1 => return at + 1,
            "}" | ")" | "]" => depth -= 1,
            ";" if depth == 0 => return at + 1,
            "," if depth == 0 && !is_item => return at + 1,
            _ => {}
        }
    }
    tokens.len()
}

#[test]
fn code_after_a_test_module_is_kept_and_comments_are_not() {
    let text = "fn a() {}\n#[cfg(test)]\nmod tests { fn b() { '}'; \"}\"; } }\nfn c() {} // fn d\n#[cfg(test)]\nmod e;\nfn f() {}";
    let kept = production_tokens(text);
    for (name, expected) in [("a", true), ("b", false), ("c", true), ("d", false), ("e", false), ("f", true)] {
        assert_eq!(kept.iter().any(|token| token == name), expected, "{name} in {kept:?}");
    }
}
