//! Comparison of member names as servers in Go and C# compare them.

/// Returns whether a server may treat two member names as equal. Go's `encoding/json` ignores case, and so do many servers in C#: for
/// them, a later `Model` replaces `model`.
pub(crate) fn is_equivalent(name: &str, other: &str) -> bool {
    folded_letters(name).eq(folded_letters(other))
}

/// Returns a text that equivalent names have in common.
pub(super) fn folded(name: &str) -> String {
    folded_letters(name).collect()
}

/// Folds in both directions: `to_lowercase` alone keeps `ſ`, which Go takes for an `s`; `to_uppercase` alone keeps the Kelvin sign.
fn folded_letters(name: &str) -> impl Iterator<Item = char> {
    name.chars().flat_map(char::to_uppercase).flat_map(char::to_lowercase)
}

#[cfg(test)]
mod tests {
    use super::is_equivalent;

    #[test]
    fn names_that_differ_in_case_or_in_a_letter_that_go_folds_are_equivalent() {
        for name in ["notifyHook", "NOTIFYHOOK", "notifyHoo\u{212a}"] {
            assert!(is_equivalent(name, "notifyHook"), "{name}");
        }
        assert!(is_equivalent("batch\u{17f}ize", "batchSize"));
        assert!(!is_equivalent("batch_size", "batchSize"));
        assert!(!is_equivalent("größe", "groesse"));
    }
}
