//! `metadata`: key-value pairs of the client that are stored with the response.

use super::{error::InvalidRequest, fields::Node};

/// Maximum number of pairs, and of characters of their names and values; OpenAI's limits.
const MAX_PAIRS: usize = 16;
const MAX_NAME: usize = 64;
const MAX_VALUE: usize = 512;

/// Validates `metadata` and returns its JSON text.
pub(super) fn read_metadata(node: &Node<'_>) -> Result<String, InvalidRequest> {
    let pairs = node.object()?.rest_with_nulls();
    if pairs.len() > MAX_PAIRS {
        let rule = format_args!("has {} pairs; at most {MAX_PAIRS} are allowed", pairs.len());
        return Err(InvalidRequest::at(node.path(), rule));
    }
    for (name, value) in pairs {
        if name.chars().count() > MAX_NAME {
            let rule = format_args!("the name {name:?} is longer than {MAX_NAME} characters");
            return Err(InvalidRequest::at(node.path(), rule));
        }
        let is_short = value.string().is_ok_and(|text| text.chars().count() <= MAX_VALUE);
        if !is_short {
            return Err(value.expected(format_args!("a string of at most {MAX_VALUE} characters")));
        }
    }
    Ok(node.raw().to_owned())
}
