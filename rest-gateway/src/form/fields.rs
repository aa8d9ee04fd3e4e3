//! The fields of a request, read one by one.

use super::value::Value;
use crate::error::GatewayError;

/// The fields of a body in their order. Handlers take the known ones out; the rest becomes `extra_json`.
#[derive(Debug)]
pub(crate) struct Fields<'a> {
    fields: Vec<(String, Value<'a>)>,
}

impl<'a> Fields<'a> {
    pub(super) fn new(fields: Vec<(String, Value<'a>)>) -> Self {
        Self { fields }
    }

    /// Takes out a field. The last of several with the same name wins. An explicit null is an absent field.
    pub(crate) fn take(&mut self, name: &str) -> Option<Value<'a>> {
        self.take_all(name).pop()
    }

    /// Takes out all fields of this name, also when spelled as a list: `name[]` or `name[0]`.
    pub(crate) fn take_all(&mut self, name: &str) -> Vec<Value<'a>> {
        let matches = |known: &str| {
            known.strip_prefix(name).is_some_and(|rest| {
                let index = rest.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
                rest.is_empty() || index.is_some_and(|index| index.bytes().all(|byte| byte.is_ascii_digit()))
            })
        };
        let taken = self.fields.extract_if(.., |(known, _)| matches(known)).map(|(_, value)| value);
        taken.filter(|value| !matches!(value, Value::Json(raw) if raw.get() == "null")).collect()
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

    /// Takes out a boolean field; `false` if absent.
    pub(crate) fn boolean(&mut self, name: &str) -> Result<bool, GatewayError> {
        let Some(value) = self.take(name) else { return Ok(false) };
        value.text().parse().map_err(|_| invalid(name, &value, "true or false"))
    }

    /// Returns the remaining fields as a JSON object, in order and with unchanged values; empty if there are none.
    pub(crate) fn into_extra_json(self) -> Result<String, GatewayError> {
        let mut object = String::new();
        for (name, value) in self.fields {
            object.push(if object.is_empty() { '{' } else { ',' });
            object.push_str(&to_json(&name));
            object.push(':');
            match value {
                Value::Json(raw) => object.push_str(raw.get()),
                Value::Text(text) => object.push_str(&to_json(&text)),
                Value::File(_) => {
                    return Err(GatewayError::invalid(&name, format!("{name}: expected text, not a file")));
                }
            }
        }
        if !object.is_empty() {
            object.push('}');
        }
        Ok(object)
    }
}

fn to_json(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn integer<T: TryFrom<i64>>(name: &str, value: &Value<'_>) -> Result<T, GatewayError> {
    /// 2^53: beyond it, a double cannot represent every integer.
    const MAX_EXACT: f64 = 9_007_199_254_740_992.0;
    let text = value.text().trim();
    #[expect(clippy::cast_possible_truncation, reason = "bounded by MAX_EXACT")]
    let exact = |number: f64| (number.fract() == 0.0 && number.abs() <= MAX_EXACT).then_some(number as i64);
    let number = text.parse::<i64>().ok().or_else(|| exact(text.parse().ok()?));
    let number = number.ok_or_else(|| invalid(name, value, "an integer"))?;
    T::try_from(number).map_err(|_| invalid(name, value, &format!("an integer within the range of {name}")))
}

fn invalid(name: &str, value: &Value<'_>, expected: &str) -> GatewayError {
    /// Longer values are left out of messages.
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
        let text = Value::Text("x".to_owned());
        let fields = [("image[]", file(b"1")), ("image", file(b"2")), ("image[7]", file(b"3")), ("image[url]", text)];
        let mut body = FormBody::Multipart(fields.map(|(name, value)| (name.to_owned(), value)).into());
        let mut fields = body.fields().unwrap();
        assert_eq!(fields.take_all("image").len(), 3);
        assert_eq!(fields.into_extra_json().unwrap(), r#"{"image[url]":"x"}"#);
    }
}
