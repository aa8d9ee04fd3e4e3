//! Parses the trees of `use` declarations.

/// One name of a `use` tree.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Use {
    /// The segments of the full path; for a glob import that of the module.
    pub(crate) path: Vec<String>,
    /// The name in the importing module; `*` for a glob import.
    pub(crate) name: String,
    /// Whether the declaration is `pub use` or `pub(…) use`.
    pub(crate) is_reexport: bool,
}

/// Appends the names that a `use` declaration imports to `uses`. `tokens` are those between `use` and `;`, or between the
/// braces and commas of a nested tree whose path so far is `prefix`.
pub(crate) fn use_tree(tokens: &[String], prefix: &[String], is_reexport: bool, uses: &mut Vec<Use>) {
    let mut path = prefix.to_vec();
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        match token.as_str() {
            "::" => {}
            "{" => {
                let mut depth = 0;
                let mut start = at + 1;
                for (end, token) in tokens.iter().enumerate().skip(at) {
                    match token.as_str() {
                        "{" => depth += 1,
                        "}" => depth -= 1,
                        _ => {}
                    }
                    if depth == 0 || (depth == 1 && token == ",") {
                        if start < end {
                            use_tree(&tokens[start..end], &path, is_reexport, uses);
                        }
                        start = end + 1;
                    }
                }
                return;
            }
            "*" => {
                uses.push(Use { path, name: "*".to_owned(), is_reexport });
                return;
            }
            "as" => {
                uses.push(Use { path, name: tokens[at + 1].clone(), is_reexport });
                return;
            }
            // `use a::{self}` imports `a`.
            "self" if !path.is_empty() => {}
            segment => path.push(segment.to_owned()),
        }
        at += 1;
    }
    if let Some(name) = path.last().cloned() {
        uses.push(Use { path, name, is_reexport });
    }
}

#[test]
fn nested_use_trees_are_flattened() {
    let mut uses = Vec::new();
    let tokens = crate::source::production_tokens("crate::{a::{self, B as C}, d::*, e}");
    use_tree(&tokens, &[], false, &mut uses);
    let flat: Vec<_> = uses.iter().map(|import| (import.path.join("::"), import.name.as_str())).collect();
    let expected = [("crate::a", "a"), ("crate::a::B", "C"), ("crate::d", "*"), ("crate::e", "e")];
    assert_eq!(flat, expected.map(|(path, name)| (path.to_owned(), name)));
}
