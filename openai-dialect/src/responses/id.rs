//! The ids of items, which are derived from the id of their response.
//!
//! An item id is a prefix for its type, the digits of the response's id, and five hexadecimal digits: `0` and the position
//! for an input item, `1` and the position for an output item. Derived ids need no random numbers, the items of a response
//! have the same ids whenever they are listed, and the response that an item belongs to is found without an index of all items.

/// The prefix of the id of a response.
const RESPONSE_PREFIX: &str = "resp_";

/// Number of characters that an item id has after the digits of the response.
const SUFFIX_LENGTH: usize = 5;

/// Returns the id of the input item at this position.
pub(super) fn input_item_id(prefix: &str, response_id: &str, position: usize) -> String {
    format!("{prefix}_{}0{position:04x}", digits(response_id))
}

/// Returns the id of the output item at this position.
pub(super) fn output_item_id(prefix: &str, response_id: &str, position: usize) -> String {
    format!("{prefix}_{}1{position:04x}", digits(response_id))
}

/// Returns the id of the response that an item with this id belongs to, or `None` if the id is not of the form that this
/// module creates. The response need not exist.
pub fn response_of_item(item_id: &str) -> Option<String> {
    let (prefix, rest) = item_id.split_once('_')?;
    let (digits, suffix) = rest.split_at_checked(rest.len().checked_sub(SUFFIX_LENGTH)?)?;
    let is_hex = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let is_known = !prefix.is_empty() && is_hex(digits) && is_hex(suffix) && suffix.starts_with(['0', '1']);
    is_known.then(|| format!("{RESPONSE_PREFIX}{digits}"))
}

fn digits(response_id: &str) -> &str {
    response_id.strip_prefix(RESPONSE_PREFIX).unwrap_or(response_id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn response_is_found_from_the_id_of_its_item() {
        let response = "resp_0123456789abcdef0123456789abcdef0123456789abcdef";
        let input = input_item_id("msg", response, 2);
        assert_eq!(input, "msg_0123456789abcdef0123456789abcdef0123456789abcdef00002");
        let output = output_item_id("fc", response, 17);
        assert_eq!(output, "fc_0123456789abcdef0123456789abcdef0123456789abcdef10011");
        for item in [input, output] {
            assert_eq!(response_of_item(&item).as_deref(), Some(response));
        }
        for other in
            ["", "msg", "msg_", "msg_10000", "msg_01234567890xyz00000", "msg_0123456789abcdef20000", "_0120000"]
        {
            assert_eq!(response_of_item(other), None, "{other:?}");
        }
    }
}
