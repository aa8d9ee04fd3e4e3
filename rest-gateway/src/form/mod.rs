//! Request members, whether they came as JSON or as multipart form data: the same names, the same meaning.

mod picture;

use axum::extract::{FromRequest, Multipart, Request};
use bytes::Bytes;
use http::header;
use serde::{
    Deserialize,
    de::{Deserializer, MapAccess, Visitor},
};
use serde_json::value::RawValue;

use crate::{app::App, body, error::GatewayError, json, json::JsonBody};

/// A body in either encoding, read whole.
#[derive(Debug)]
pub(crate) enum FormBody {
    Json(JsonBody),
    Parts(Vec<(String, Part)>),
}

/// One part of a multipart body.
#[derive(Debug, Clone)]
pub(crate) enum Part {
    Text(String),
    File(Bytes),
}

/// The value of a member.
#[derive(Debug, Clone)]
pub(crate) enum Value<'a> {
    Json(&'a RawValue),
    Text(String),
    File(Bytes),
}

/// The members of a body in their order. Each is taken out by the code that knows it; what remains is unknown.
#[derive(Debug)]
pub(crate) struct Form<'a> {
    members: Vec<(String, Value<'a>)>,
}

impl FormBody {
    /// How many bytes stand in it, roughly.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Json(json) => json.as_bytes().len(),
            Self::Parts(parts) => parts.iter().map(|(_, part)| part.len()).sum(),
        }
    }

    pub(crate) fn form(&self) -> Result<Form<'_>, GatewayError> {
        let members = match self {
            Self::Json(json) => {
                let object: Object<'_> = serde_json::from_slice(json.as_bytes()).map_err(|error| {
                    if error.is_data() {
                        GatewayError::invalid_json("the body must be a JSON object")
                    } else {
                        json::broken(&error)
                    }
                })?;
                object.0.into_iter().map(|(name, value)| (name, Value::Json(value))).collect()
            }
            Self::Parts(parts) => parts.iter().map(|(name, part)| (name.clone(), part.clone().into())).collect(),
        };
        Ok(Form { members })
    }
}

impl FromRequest<App> for FormBody {
    type Rejection = GatewayError;

    async fn from_request(request: Request, app: &App) -> Result<Self, GatewayError> {
        let (mut parts, body) = request.into_parts();
        let kind = parts.headers.get(header::CONTENT_TYPE).map(|value| value.as_bytes().to_ascii_lowercase());
        if !kind.is_some_and(|kind| kind.starts_with(b"multipart/form-data")) {
            return JsonBody::read(&parts.headers, body, app).await.map(Self::Json);
        }
        let bytes = body::read(&parts.headers, body, &app.settings).await?;
        parts.headers.remove(header::CONTENT_LENGTH);
        let request = Request::from_parts(parts, bytes.into());
        let broken = |what: &str| GatewayError::invalid_request(format!("the multipart body: {what}"));
        let mut multipart =
            Multipart::from_request(request, app).await.map_err(|refused| broken(&refused.body_text()))?;
        let mut found = Vec::new();
        while let Some(field) = multipart.next_field().await.map_err(|error| broken(&error.body_text()))? {
            let name = field.name().ok_or_else(|| broken("a part has no name"))?.to_owned();
            // Clients name a file even where they have no name for it; a part without one is a text.
            let file = field.file_name().is_some();
            let data = field.bytes().await.map_err(|error| broken(&error.body_text()))?;
            let part = match std::str::from_utf8(&data) {
                Ok(text) if !file => Part::Text(text.to_owned()),
                Ok(_) | Err(_) => Part::File(data),
            };
            found.push((name, part));
        }
        Ok(Self::Parts(found))
    }
}

impl Part {
    fn len(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::File(bytes) => bytes.len(),
        }
    }
}

impl From<Part> for Value<'_> {
    fn from(part: Part) -> Self {
        match part {
            Part::Text(text) => Self::Text(text),
            Part::File(bytes) => Self::File(bytes),
        }
    }
}

impl<'a> Form<'a> {
    /// Takes a member out; of several of one name, the last one counts. An explicit null is an absent member.
    pub(crate) fn take(&mut self, name: &str) -> Option<Value<'a>> {
        self.take_all(name).pop()
    }

    /// Takes out all members of a name, lists written as `name[]` or `name[0]` among them.
    pub(crate) fn take_all(&mut self, name: &str) -> Vec<Value<'a>> {
        let ours = |known: &str| {
            known.strip_prefix(name).is_some_and(|rest| {
                let index = rest.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
                rest.is_empty() || index.is_some_and(|index| index.bytes().all(|byte| byte.is_ascii_digit()))
            })
        };
        let taken = self.members.extract_if(.., |(known, _)| ours(known)).map(|(_, value)| value);
        taken.filter(|value| !matches!(value, Value::Json(raw) if raw.get() == "null")).collect()
    }

    /// A text; empty where the member is absent.
    pub(crate) fn text(&mut self, name: &str) -> Result<String, GatewayError> {
        let wrong = || GatewayError::invalid(name, format!("`{name}` must be a string"));
        match self.take(name) {
            None => Ok(String::new()),
            Some(Value::Text(text)) => Ok(text),
            Some(Value::Json(raw)) => serde_json::from_str(raw.get()).map_err(|_| wrong()),
            Some(Value::File(_)) => Err(wrong()),
        }
    }

    /// An integer: `3`, `3.0`, and `"3"` where the encoding knows only texts.
    pub(crate) fn integer<T: TryFrom<i64>>(&mut self, name: &str) -> Result<Option<T>, GatewayError> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Text(text)) => integer(name, &text).map(Some),
            Some(Value::Json(raw)) => integer(name, raw.get()).map(Some),
            Some(Value::File(_)) => integer(name, "").map(Some),
        }
    }

    /// An integer that clients also write as a text: `5` and `"5"`.
    pub(crate) fn integer_or_text<T: TryFrom<i64>>(&mut self, name: &str) -> Result<Option<T>, GatewayError> {
        match self.take(name) {
            Some(Value::Json(raw)) if raw.get().starts_with('"') => {
                let text: String = serde_json::from_str(raw.get()).unwrap_or_default();
                integer(name, &text).map(Some)
            }
            Some(value) => {
                self.members.push((name.to_owned(), value));
                self.integer(name)
            }
            None => Ok(None),
        }
    }

    /// A flag; `false` where the member is absent.
    pub(crate) fn flag(&mut self, name: &str) -> Result<bool, GatewayError> {
        let text = match self.take(name) {
            None => return Ok(false),
            Some(Value::Text(text)) => text,
            Some(Value::Json(raw)) => raw.get().to_owned(),
            Some(Value::File(_)) => String::new(),
        };
        text.parse().map_err(|_| GatewayError::invalid(name, format!("`{name}` must be true or false")))
    }

    /// The unknown members as one JSON object, byte for byte and in order; empty where there are none.
    pub(crate) fn rest(self) -> Result<String, GatewayError> {
        let mut object = String::new();
        for (name, value) in self.members {
            object.push(if object.is_empty() { '{' } else { ',' });
            object.push_str(&quoted(&name));
            object.push(':');
            match value {
                Value::Json(raw) => object.push_str(raw.get()),
                Value::Text(text) => object.push_str(&quoted(&text)),
                Value::File(_) => {
                    return Err(GatewayError::invalid(&name, format!("no file is expected under the name `{name}`")));
                }
            }
        }
        if !object.is_empty() {
            object.push('}');
        }
        Ok(object)
    }
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn integer<T: TryFrom<i64>>(name: &str, text: &str) -> Result<T, GatewayError> {
    /// Beyond it, a double no longer holds each integer.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    let text = text.trim();
    #[expect(clippy::cast_possible_truncation, reason = "bounded just before")]
    let whole = |number: f64| (number.fract() == 0.0 && number.abs() <= EXACT).then_some(number as i64);
    let number = text.parse::<i64>().ok().or_else(|| whole(text.parse().ok()?));
    number.ok_or_else(|| GatewayError::invalid(name, format!("`{name}` must be an integer"))).and_then(|number| {
        T::try_from(number).map_err(|_| GatewayError::invalid(name, format!("`{name}` is out of range")))
    })
}

/// A JSON object with its members in order and their values unread.
struct Object<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Object<'a> {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        struct Members;

        impl<'de> Visitor<'de> for Members {
            type Value = Object<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Object(members))
            }
        }

        source.deserialize_map(Members)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(text: &'static str) -> FormBody {
        FormBody::Json(JsonBody::check(Bytes::from_static(text.as_bytes())).unwrap())
    }

    #[test]
    fn what_nobody_takes_is_kept_byte_for_byte_and_in_order() {
        let body = body(r#"{"z": 12345678901234567890123, "n": 2, "a":{"k" : 1E400}, "b": null, "a": "twice"}"#);
        let mut form = body.form().unwrap();
        assert_eq!(form.integer::<u32>("n").unwrap(), Some(2));
        assert_eq!(form.rest().unwrap(), r#"{"z":12345678901234567890123,"a":{"k" : 1E400},"b":null,"a":"twice"}"#);
    }

    #[test]
    fn nothing_left_is_an_empty_text() {
        let body = body(r#"{"user": null}"#);
        let mut form = body.form().unwrap();
        assert_eq!(form.text("user").unwrap(), "");
        assert_eq!(form.rest().unwrap(), "");
    }

    #[test]
    fn integers_may_have_a_fraction_of_zero_and_nothing_else() {
        for (json, right) in
            [("3", true), ("3.0", true), ("3e0", true), ("3.5", false), ("\"3\"", false), ("true", false)]
        {
            let text = format!("{{\"n\":{json}}}");
            let body = FormBody::Json(JsonBody::check(Bytes::from(text)).unwrap());
            let read = body.form().unwrap().integer::<u32>("n");
            assert_eq!(read.is_ok_and(|number| number == Some(3)), right, "{json}");
        }
        for json in ["-1", "4294967296", "1000000000000000000000000000000", "1e30"] {
            let body = FormBody::Json(JsonBody::check(Bytes::from(format!("{{\"n\":{json}}}"))).unwrap());
            let error = body.form().unwrap().integer::<u32>("n").unwrap_err();
            assert_eq!((error.status().as_u16(), error.param()), (400, Some("n")), "{json}");
        }
    }

    #[test]
    fn a_body_that_is_no_object_is_refused() {
        for text in ["[]", "7", "\"a\"", "null"] {
            let error = body(text).form().unwrap_err();
            assert_eq!((error.code(), error.message()), ("invalid_json", "the body must be a JSON object"), "{text}");
        }
    }

    #[test]
    fn parts_are_taken_under_all_spellings_of_a_list() {
        let file = |text| Part::File(Bytes::from_static(text));
        let text = Part::Text("x".to_owned());
        let parts = [("image[]", file(b"1")), ("image", file(b"2")), ("image[7]", file(b"3")), ("image[url]", text)];
        let body = FormBody::Parts(parts.map(|(name, part)| (name.to_owned(), part)).into());
        let mut form = body.form().unwrap();
        assert_eq!(form.take_all("image").len(), 3);
        assert_eq!(form.rest().unwrap(), r#"{"image[url]":"x"}"#);
    }
}
