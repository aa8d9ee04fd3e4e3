//! Finds the end of a JSON object or array that arrives in pieces.

/// Scans a text for the end of its first object or array.
#[derive(Debug, Default)]
pub(super) struct JsonEnd {
    depth: usize,
    in_string: bool,
    escaped: bool,
    complete: bool,
}

impl JsonEnd {
    /// Scans the next piece.
    pub(super) fn push(&mut self, piece: &str) {
        for byte in piece.bytes() {
            match byte {
                _ if self.complete => return,
                _ if self.escaped => self.escaped = false,
                b'\\' if self.in_string => self.escaped = true,
                b'"' => self.in_string = !self.in_string,
                b'{' | b'[' if !self.in_string => self.depth += 1,
                b'}' | b']' if !self.in_string => {
                    self.depth = self.depth.saturating_sub(1);
                    self.complete = self.depth == 0;
                }
                _ => {}
            }
        }
    }

    /// Returns whether the object or array has ended. Nothing but white space can follow in valid JSON.
    pub(super) fn is_complete(&self) -> bool {
        self.complete
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn object_is_complete_with_its_last_brace_in_any_pieces() {
        for text in [r#"{"a":"}\"","b":[{}]}"#, "[]", r#" {"\\":1}"#] {
            for split in 0..text.len() {
                let mut end = JsonEnd::default();
                end.push(&text[..split]);
                assert!(!end.is_complete(), "{text:?} at {split}");
                end.push(&text[split..]);
                assert!(end.is_complete(), "{text:?} at {split}");
            }
        }
        let mut end = JsonEnd::default();
        end.push("");
        end.push("null");
        assert!(!end.is_complete());
    }
}
