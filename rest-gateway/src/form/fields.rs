//! The fields of a request body. A handler takes out the fields that it knows, one by one, by name and type; the others
//! are passed on to the core as JSON.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::value::{Value, to_json};
use crate::{error::GatewayError, json::exact_integer};

/// One name of a body, with its values.
#[derive(Debug)]
pub(super) struct Field<'a> {
    pub(super) name: String,
    pub(super) values: Vec<Value<'a>>,
    /// Whether the values are a list even if there is only one.
    pub(super) is_list: bool,
}

/// The fields of a body in their order. Those that no handler has taken out become `extra_json`, a field of the
/// protobuf messages.
#[derive(Debug)]
pub(crate) struct Fields<'a> {
    fields: Vec<Field<'a>>,
}

impl<'a> Fields<'a> {
    pub(super) fn new(fields: Vec<Field<'a>>) -> Self {
        Self { fields }
    }

    /// Takes out a field. The last of several with the same name wins. An explicit null is an absent field.
    pub(crate) fn take(&mut self, name: &str) -> Option<Value<'a>> {
        self.take_all(name).pop()
    }

    /// Takes out all values of this name, in multipart bodies also those of `name[]` and `name[0]`.
    pub(crate) fn take_all(&mut self, name: &str) -> Vec<Value<'a>> {
        let taken = self.fields.extract_if(.., |field| field.name == name).flat_map(|field| field.values);
        taken.filter(|value| !matches!(value, Value::Json(raw) if raw.get() == "null")).collect()
    }

    /// Takes out the elements of a list field, which may also be a single object or text. Multipart texts may be a list in
    /// JSON.
    pub(crate) fn take_list(&mut self, name: &str) -> Result<Vec<Value<'a>>, GatewayError> {
        let mut list = Vec::new();
        for value in self.take_all(name) {
            match value {
                // Borrowed from the body, so that large elements are not copied.
                Value::Json(Cow::Borrowed(raw)) if raw.get().starts_with('[') => {
                    let elements: Vec<&RawValue> = parse_elements(name, raw.get())?;
                    list.extend(elements.into_iter().map(|element| Value::Json(Cow::Borrowed(element))));
                }
                Value::Json(raw) if raw.get().starts_with('[') => list.extend(parse_owned_elements(name, raw.get())?),
                Value::Json(raw) if !raw.get().starts_with(['{', '"']) => {
                    return Err(invalid(name, &Value::Json(raw), "a list"));
                }
                Value::Text(text) if text.trim_ascii().starts_with('[') => {
                    list.extend(parse_owned_elements(name, &text)?);
                }
                value @ (Value::Json(_) | Value::Text(_) | Value::File(_)) => list.push(value),
            }
        }
        Ok(list)
    }

    /// Takes out a string field; empty if absent.
    pub(crate) fn string(&mut self, name: &str) -> Result<String, GatewayError> {
        let Some(value) = self.take(name) else { return Ok(String::new()) };
        let parsed = match &value {
            Value::Json(raw) => serde_json::from_str(raw.get()).ok(),
            Value::Text(_) | Value::File(_) => None,
        };
        match (parsed, value) {
            (Some(text), _) | (None, Value::Text(text)) => Ok(text),
            (None, value) => Err(invalid(name, &value, "a string")),
        }
    }

    /// Takes out an integer field: `3` or `3.0` in JSON, text in multipart.
    pub(crate) fn integer<T: TryFrom<i64>>(&mut self, name: &str) -> Result<Option<T>, GatewayError> {
        self.take(name).map(|value| integer(name, &value)).transpose()
    }

    /// Takes out an integer field that clients also send as a JSON string: `5` or `"5"`.
    pub(crate) fn integer_or_string<T: TryFrom<i64>>(&mut self, name: &str) -> Result<Option<T>, GatewayError> {
        let value = self.take(name).map(|value| match value {
            Value::Json(raw) if raw.get().starts_with('"') => {
                Value::Text(serde_json::from_str(raw.get()).unwrap_or_default())
            }
            value @ (Value::Json(_) | Value::Text(_) | Value::File(_)) => value,
        });
        value.map(|value| integer(name, &value)).transpose()
    }

    /// Takes out a boolean field; `false` if absent. Multipart texts may be in any case, or 1 or 0.
    pub(crate) fn boolean(&mut self, name: &str) -> Result<bool, GatewayError> {
        Ok(self.optional_boolean(name)?.unwrap_or_default())
    }

    /// Takes out a boolean field whose absence has a meaning of its own.
    pub(crate) fn optional_boolean(&mut self, name: &str) -> Result<Option<bool>, GatewayError> {
        let Some(value) = self.take(name) else { return Ok(None) };
        let flag = match &value {
            Value::Json(raw) => raw.get().parse().ok(),
            Value::Text(text) => flag(text.trim_ascii()),
            Value::File(_) => None,
        };
        flag.map(Some).ok_or_else(|| invalid(name, &value, "true or false"))
    }

    /// Returns the remaining fields as a JSON object, in order and with unchanged values; empty if there are none.
    pub(crate) fn into_extra_json(self) -> Result<String, GatewayError> {
        let mut object = String::new();
        for Field { name, values, is_list } in self.fields {
            object.push(if object.is_empty() { '{' } else { ',' });
            object.push_str(&to_json(&name));
            object.push(':');
            let is_list = is_list || values.len() != 1;
            if is_list {
                object.push('[');
            }
            for (index, value) in values.iter().enumerate() {
                if index > 0 {
                    object.push(',');
                }
                value.write_json(&name, &mut object)?;
            }
            if is_list {
                object.push(']');
            }
        }
        if !object.is_empty() {
            object.push('}');
        }
        Ok(object)
    }
}

fn parse_elements<'a, T: Deserialize<'a>>(name: &str, json: &'a str) -> Result<Vec<T>, GatewayError> {
    serde_json::from_str(json).map_err(|_| GatewayError::invalid(name, format!("{name}: expected a list in JSON")))
}

fn parse_owned_elements<'a>(name: &str, json: &str) -> Result<impl Iterator<Item = Value<'a>>, GatewayError> {
    let elements: Vec<Box<RawValue>> = parse_elements(name, json)?;
    Ok(elements.into_iter().map(|element| Value::Json(Cow::Owned(element))))
}

/// Parses a flag of a form. Python writes `True`, C# `False`, and HTML forms often 1 or 0.
fn flag(text: &str) -> Option<bool> {
    match text {
        "1" => Some(true),
        "0" => Some(false),
        _ if text.eq_ignore_ascii_case("true") => Some(true),
        _ if text.eq_ignore_ascii_case("false") => Some(false),
        _ => None,
    }
}

fn integer<T: TryFrom<i64>>(name: &str, value: &Value<'_>) -> Result<T, GatewayError> {
    let text = value.text().trim();
    let number = text.parse::<i64>().ok().or_else(|| exact_integer(text.parse().ok()?));
    let number = number.ok_or_else(|| invalid(name, value, "an integer"))?;
    T::try_from(number).map_err(|_| invalid(name, value, &format!("an integer within the range of {name}")))
}

fn invalid(name: &str, value: &Value<'_>, expected: &str) -> GatewayError {
    /// Values of more bytes are left out of messages.
    const MAX_SHOWN: usize = 40;
    let shown = match value {
        Value::Json(raw) if raw.get().len() <= MAX_SHOWN => format!(" {}", raw.get()),
        Value::Text(text) if text.len() <= MAX_SHOWN => format!(" {}", to_json(text)),
        Value::Json(_) | Value::Text(_) | Value::File(_) => String::new(),
    };
    GatewayError::invalid(name, format!("{name}{shown}: expected {expected}"))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::{super::FormBody, *};
    use crate::json::JsonBody;

    fn body(text: impl Into<Bytes>) -> FormBody {
        FormBody::Json(JsonBody::check(text.into()).unwrap())
    }

    #[test]
    fn remaining_fields_keep_their_order_and_spelling() {
        let mut body = body(r#"{"z": 12345678901234567890123, "n": 2, "a":{"k" : 1E400}, "b": null, "a": "twice"}"#);
        let mut fields = body.fields().unwrap();
        assert_eq!(fields.integer::<u32>("n").unwrap(), Some(2));
        assert_eq!(
            fields.into_extra_json().unwrap(),
            r#"{"z":12345678901234567890123,"a":{"k" : 1E400},"b":null,"a":"twice"}"#
        );
    }

    #[test]
    fn extra_json_is_empty_without_remaining_fields() {
        let mut body = body(r#"{"user": null}"#);
        let mut fields = body.fields().unwrap();
        assert_eq!(fields.string("user").unwrap(), "");
        assert_eq!(fields.into_extra_json().unwrap(), "");
    }

    #[test]
    fn integer_may_have_a_zero_fraction() {
        for (json, valid) in
            [("3", true), ("3.0", true), ("3e0", true), ("3.5", false), ("\"3\"", false), ("true", false)]
        {
            let mut body = body(format!("{{\"n\":{json}}}"));
            let parsed = body.fields().unwrap().integer::<u32>("n");
            assert_eq!(parsed.is_ok_and(|number| number == Some(3)), valid, "{json}");
        }
        for json in ["-1", "4294967296", "1000000000000000000000000000000", "1e30"] {
            let mut body = body(format!("{{\"n\":{json}}}"));
            let error = body.fields().unwrap().integer::<u32>("n").unwrap_err();
            assert!(error.message().starts_with(&format!("n {json}: expected an integer")), "{error}");
            assert_eq!((error.status().as_u16(), error.param()), (400, Some("n")), "{json}");
        }
    }

    #[test]
    fn body_that_is_not_an_object_is_refused() {
        for text in ["[]", "7", "\"a\"", "null"] {
            let error = body(text).fields().unwrap_err();
            assert_eq!((error.code(), error.message()), ("invalid_json", "the body must be a JSON object"), "{text}");
        }
    }

    #[test]
    fn list_fields_are_taken_in_every_spelling() {
        let file = |data| Value::File(Bytes::from_static(data));
        let fields = [("image[]", file(b"1")), ("image", file(b"2")), ("image[7]", file(b"3"))];
        let mut body = FormBody::Multipart(fields.map(|(name, value)| (name.to_owned(), value)).into());
        let mut fields = body.fields().unwrap();
        assert_eq!(fields.take_all("image").len(), 3);
        assert_eq!(fields.into_extra_json().unwrap(), "");
    }

    fn form(fields: &[(&str, &str)]) -> FormBody {
        let fields = fields.iter().map(|(name, text)| ((*name).to_owned(), Value::Text((*text).to_owned())));
        FormBody::Multipart(fields.collect())
    }

    #[test]
    fn form_flags_are_accepted_in_every_usual_spelling() {
        for (text, expected) in [("true", true), ("True", true), ("TRUE", true), ("1", true), (" true ", true)]
            .into_iter()
            .chain([("false", false), ("False", false), ("FALSE", false), ("0", false), ("", false)])
        {
            assert_eq!(form(&[("stream", text)]).fields().unwrap().boolean("stream").unwrap(), expected, "{text:?}");
        }
        for text in ["perhaps", "2", "-1", "01", "truee"] {
            let error = form(&[("stream", text)]).fields().unwrap().boolean("stream").unwrap_err();
            assert_eq!((error.status().as_u16(), error.param()), (400, Some("stream")), "{text:?}");
        }
        for json in [r#"{"stream":"true"}"#, r#"{"stream":1}"#] {
            assert!(body(json).fields().unwrap().boolean("stream").is_err(), "{json}");
        }
    }

    #[test]
    fn list_has_the_same_elements_in_every_spelling() {
        let list = |mut body: FormBody| {
            let elements = body.fields().unwrap().take_list("list")?;
            Ok::<_, GatewayError>(elements.iter().map(|element| element.text().to_owned()).collect::<Vec<_>>())
        };
        let (object, text) = (r#"{"a":1}"#, r#""b""#);
        for both in [
            body(format!(r#"{{"list": [{object}, {text}]}}"#)),
            form(&[("list", &format!(" [{object}, {text}]"))]),
            form(&[("list[0]", object), ("list[1]", text)]),
        ] {
            assert_eq!(list(both).unwrap(), [object, text]);
        }
        for one in [body(format!(r#"{{"list": {object}}}"#)), form(&[("list[a]", "1")]), form(&[("list", object)])] {
            assert_eq!(list(one).unwrap(), [object]);
        }
        assert_eq!(list(body(r#"{"list": null}"#)).unwrap(), [""; 0]);
        for wrong in [body(r#"{"list": 7}"#), body(r#"{"list": true}"#), form(&[("list", "[1")])] {
            assert_eq!(list(wrong).unwrap_err().param(), Some("list"));
        }
    }

    #[test]
    fn known_texts_of_a_form_stay_texts() {
        for text in ["007", "5.5", "true", "null", "[1]", " x "] {
            assert_eq!(form(&[("prompt", text)]).fields().unwrap().string("prompt").unwrap(), text);
        }
    }

    #[test]
    fn empty_fields_of_a_form_are_absent() {
        let mut body = form(&[("n", ""), ("seconds", ""), ("size", ""), ("image", ""), ("list[]", ""), ("other", "")]);
        let mut fields = body.fields().unwrap();
        assert_eq!(fields.integer::<u32>("n").unwrap(), None);
        assert_eq!(fields.integer_or_string::<u32>("seconds").unwrap(), None);
        assert_eq!(fields.string("size").unwrap(), "");
        assert_eq!(fields.take_all("image").len(), 0);
        assert_eq!(fields.into_extra_json().unwrap(), "");
    }
}
