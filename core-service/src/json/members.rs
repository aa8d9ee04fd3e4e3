//! Reading JSON objects of upstream responses. A member whose value has an unexpected type counts as absent: it must not make a
//! response fail whose other members are usable, such as an image that was billed.

use std::{borrow::Cow, collections::BTreeMap};

use openai_dialect::sanitized;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::error::ProviderError;

/// The members of a JSON object, with their values as JSON text. The last one of repeated members applies.
#[derive(Debug, Default, Deserialize)]
#[serde(transparent)]
pub(crate) struct Members<'a>(#[serde(borrow)] BTreeMap<Cow<'a, str>, &'a RawValue>);

/// Parses a JSON object, and passes its members to `read`. Tolerates a byte order mark, and repairs invalid Unicode and
/// numbers that JSON does not have.
///
/// # Errors
/// [`ProviderError::Unreadable`] if the text is not a JSON object.
pub(crate) fn read_object<T>(text: &[u8], read: impl FnOnce(Members<'_>) -> T) -> Result<T, ProviderError> {
    let text = without_byte_order_mark(text);
    match serde_json::from_slice(text) {
        Ok(members) => Ok(read(members)),
        Err(error) => serde_json::from_str(&sanitized(text)).map(read).map_err(|_| unreadable(&error)),
    }
}

/// Parses a list of JSON objects, or a single one; see [`read_object`].
pub(crate) fn read_objects<T>(text: &[u8], read: impl FnOnce(Vec<Members<'_>>) -> T) -> Result<T, ProviderError> {
    let text = without_byte_order_mark(text);
    if !text.starts_with(b"[") {
        return read_object(text, |members| read(vec![members]));
    }
    match serde_json::from_slice(text) {
        Ok(list) => Ok(read(list)),
        Err(error) => serde_json::from_str(&sanitized(text)).map(read).map_err(|_| unreadable(&error)),
    }
}

fn without_byte_order_mark(text: &[u8]) -> &[u8] {
    let text = text.trim_ascii();
    text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text).trim_ascii_start()
}

fn unreadable(error: &serde_json::Error) -> ProviderError {
    ProviderError::Unreadable(format!("the upstream's response is not a JSON object: {error}"))
}

/// Returns the objects of a list. A single object counts as a list of one; an item of another type as an object without
/// members.
pub(crate) fn objects(value: &RawValue) -> Vec<Members<'_>> {
    match value.get().as_bytes().first() {
        Some(b'{') => vec![object(value)],
        _ => serde_json::from_str::<Vec<&RawValue>>(value.get()).unwrap_or_default().into_iter().map(object).collect(),
    }
}

/// Returns the members of an object; none of another value.
pub(crate) fn object(value: &RawValue) -> Members<'_> {
    serde_json::from_str(value.get()).unwrap_or_default()
}

/// Returns a string, or a number as its text.
pub(crate) fn text(value: &RawValue) -> Option<Cow<'_, str>> {
    #[derive(Deserialize)]
    struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

    let json = value.get();
    match json.as_bytes().first()? {
        b'"' => match serde_json::from_str(json) {
            Ok(Text(text)) => Some(text),
            // Half a surrogate pair.
            Err(_) => serde_json::from_str(&sanitized(json.as_bytes())).map(Cow::Owned).ok(),
        },
        b'-' | b'0'..=b'9' => Some(json.into()),
        _ => None,
    }
}

impl<'a> Members<'a> {
    /// Returns a value as JSON text. A null, and an empty string, object or list count as absent.
    pub(crate) fn raw(&self, name: &str) -> Option<&'a RawValue> {
        let value = *self.0.get(name)?;
        (!matches!(value.get(), "null" | "\"\"" | "{}" | "[]")).then_some(value)
    }

    /// Returns the JSON text of an `error` member that reports an error.
    pub(crate) fn error(&self) -> Option<&'a str> {
        self.raw("error").map(RawValue::get).filter(|error| !matches!(*error, "false" | "0"))
    }

    /// Returns a string that is not empty, or a number as its text.
    pub(crate) fn text(&self, name: &str) -> Option<Cow<'a, str>> {
        self.raw(name).and_then(text)
    }

    /// Returns a string that is not empty.
    pub(crate) fn string(&self, name: &str) -> Option<Cow<'a, str>> {
        self.raw(name).filter(|value| value.get().starts_with('"')).and_then(text)
    }

    /// Returns a number that is not negative, also if it is written as a string. A fraction is dropped.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "in the range of the target type")]
    pub(crate) fn number(&self, name: &str) -> Option<u64> {
        let text = self.text(name)?;
        let text = text.trim();
        let in_range = |number: &f64| (0.0..1e15).contains(number);
        text.parse().ok().or_else(|| text.parse::<f64>().ok().filter(in_range).map(|number| number as u64))
    }

    /// Returns whether a value is true, also if it is written as a string or a number.
    pub(crate) fn is_true(&self, name: &str) -> bool {
        let value = self.raw(name).map(|value| value.get().trim_matches('"'));
        value.is_some_and(|value| value == "1" || value.eq_ignore_ascii_case("true"))
    }

    /// Returns the members of an object.
    pub(crate) fn object(&self, name: &str) -> Members<'a> {
        self.raw(name).map(object).unwrap_or_default()
    }

    /// Returns the objects of a list; see [`objects`].
    pub(crate) fn objects(&self, name: &str) -> Vec<Members<'a>> {
        self.raw(name).map(objects).unwrap_or_default()
    }

    /// Returns the values of a list.
    pub(crate) fn list(&self, name: &str) -> Vec<&'a RawValue> {
        self.raw(name).and_then(|list| serde_json::from_str(list.get()).ok()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read<T>(text: &str, read: impl FnOnce(Members<'_>) -> T) -> T {
        read_object(text.as_bytes(), read).unwrap()
    }

    #[test]
    fn value_of_an_unexpected_type_counts_as_absent() {
        for value in ["null", "true", "{}", "[]", "{\"a\":1}", "[1]", "\"\""] {
            let json = format!("{{\"a\":{value}}}");
            let absent = read(&json, |members| members.text("a").is_none() && members.number("a").is_none());
            assert!(absent, "{value}");
        }
        for value in ["7", "\"x\"", "null", "true"] {
            let json = format!("{{\"a\":{value}}}");
            assert!(read(&json, |members| members.objects("a").is_empty() && members.list("a").is_empty()), "{value}");
        }
        for value in ["-35", "1e300", "\"many\"", "NaN", "-Infinity"] {
            assert_eq!(read(&format!("{{\"a\":{value}}}"), |members| members.number("a")), None, "{value}");
        }
    }

    #[test]
    fn numbers_and_booleans_are_read_from_strings_and_strings_from_numbers() {
        for value in ["35", "35.0", "\"35\"", "\" 35 \"", "35.9"] {
            assert_eq!(read(&format!("{{\"a\":{value}}}"), |members| members.number("a")), Some(35), "{value}");
        }
        for value in ["true", "\"True\"", "1", "\"1\""] {
            assert!(read(&format!("{{\"a\":{value}}}"), |members| members.is_true("a")), "{value}");
        }
        assert_eq!(read(r#"{"a":1,"a":7.50}"#, |members| members.text("a").unwrap().into_owned()), "7.50");
        assert_eq!(read(r#"{"a":"x\ud83d"}"#, |members| members.text("a").unwrap().into_owned()), "x\u{fffd}");
    }

    #[test]
    fn single_object_is_a_list_of_one_and_other_items_have_no_members() {
        assert_eq!(read(r#"{"a":{"b":1}}"#, |members| members.objects("a")[0].number("b")), Some(1));
        let items = read(r#"{"a":[7,null,{"b":1}]}"#, |members| members.objects("a").len());
        assert_eq!(items, 3);
    }

    #[test]
    fn byte_order_mark_is_skipped_and_text_that_is_not_an_object_is_unreadable() {
        assert_eq!(read("\u{feff} {\"a\":1}\n", |members| members.number("a")), Some(1));
        for text in ["", "<html>", "7", "[{}]", "{\"a\":"] {
            assert!(matches!(read_object(text.as_bytes(), |_| ()), Err(ProviderError::Unreadable(_))), "{text}");
        }
    }
}
