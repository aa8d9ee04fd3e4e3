//! Reads a request body in JSON or multipart form data, and splits it into its fields.

use std::borrow::Cow;

use axum::{
    body::Body,
    extract::{FromRequest, Request},
};
use bytes::Bytes;
use http::{header, request::Parts};
use http_body::Body as _;
use serde::{
    Deserialize,
    de::{Deserializer, MapAccess, Visitor},
};
use serde_json::value::RawValue;

use super::{
    fields::{Field, Fields},
    fold::fold,
    value::Value,
};
use crate::{
    app::App,
    authentication,
    body::{self, Collector},
    error::GatewayError,
    json::{self, JsonBody},
    offload,
};

/// A body in either encoding, read to its end.
#[derive(Debug)]
pub(crate) enum FormBody {
    Json(JsonBody),
    /// Name and value of each part, in their order. A name may be repeated.
    Multipart(Vec<(String, Value<'static>)>),
}

impl FormBody {
    /// Returns the length of the body without the multipart framing, in bytes.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Json(json) => json.as_bytes().len(),
            Self::Multipart(fields) => fields.iter().map(|(_, value)| value.len()).sum(),
        }
    }

    /// Splits the body into its fields. Those of a multipart body are moved out: a second call returns none.
    pub(crate) fn fields(&mut self) -> Result<Fields<'_>, GatewayError> {
        match self {
            Self::Multipart(fields) => Ok(Fields::new(fold(std::mem::take(fields))?)),
            Self::Json(json) => {
                let object: RawObject<'_> = serde_json::from_slice(json.as_bytes()).map_err(|error| {
                    if error.is_data() {
                        GatewayError::invalid_json("the body must be a JSON object")
                    } else {
                        json::syntax_error(&error)
                    }
                })?;
                let field = |(name, raw)| Field { name, values: vec![Value::Json(Cow::Borrowed(raw))], is_list: false };
                Ok(Fields::new(object.0.into_iter().map(field).collect()))
            }
        }
    }
}

impl FromRequest<App> for FormBody {
    type Rejection = GatewayError;

    async fn from_request(request: Request, app: &App) -> Result<Self, GatewayError> {
        let (parts, body) = request.into_parts();
        let content_type = parts.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        match content_type.filter(|value| value.trim().to_ascii_lowercase().starts_with("multipart/form-data")) {
            Some(content_type) => multipart(content_type, &parts, body, app).await.map(Self::Multipart),
            None => JsonBody::read(&parts, body, app).await.map(Self::Json),
        }
    }
}

/// Reads a multipart body field by field while it arrives.
async fn multipart(
    content_type: &str,
    parts: &Parts,
    body: Body,
    app: &App,
) -> Result<Vec<(String, Value<'static>)>, GatewayError> {
    let body_length = body.size_hint().upper();
    let boundary = multer::parse_boundary(content_type).map_err(|error| multipart_error(&error))?;
    authentication::check(parts, app).await?;
    let stream = body::stream(&parts.headers, body, app.body_limits(&parts.extensions)).await?;
    offload::spawn(&app.background, body_length, read_fields(multer::Multipart::new(stream, boundary))).await
}

async fn read_fields(mut multipart: multer::Multipart<'static>) -> Result<Vec<(String, Value<'static>)>, GatewayError> {
    let mut fields = Vec::new();
    while let Some(mut field) = multipart.next_field().await.map_err(|error| multipart_error(&error))? {
        let name = field.name().ok_or_else(|| invalid_multipart("a field has no name"))?.to_owned();
        // A file name tells a file from a text: clients make one up for files without a name. JavaScript also sends one with members
        // that it writes as JSON, which have their content type.
        let file_name = field.file_name().map(str::to_owned);
        let is_json = field.content_type().is_some_and(|kind| kind.essence_str() == "application/json");
        let mut data = Collector::default();
        while let Some(chunk) = field.chunk().await.map_err(|error| multipart_error(&error))? {
            data.push(chunk);
        }
        let data = data.into_bytes();
        // Browsers send a file input without a chosen file like this.
        if data.is_empty() && file_name.as_deref() == Some("") {
            continue;
        }
        fields.push((name, value(file_name.is_some() && !is_json, data)));
    }
    Ok(fields)
}

fn value(is_file: bool, data: Bytes) -> Value<'static> {
    if is_file || std::str::from_utf8(&data).is_err() {
        return Value::File(data);
    }
    Value::Text(String::from_utf8(data.into()).unwrap_or_default())
}

fn multipart_error(error: &multer::Error) -> GatewayError {
    // The stream's own error: body too long, timed out or incomplete.
    if let multer::Error::StreamReadFailed(error) = error
        && let Some(error) = error.downcast_ref::<GatewayError>()
    {
        return error.clone();
    }
    invalid_multipart(&error.to_string())
}

fn invalid_multipart(message: &str) -> GatewayError {
    GatewayError::invalid_request(format!("the body is not valid multipart form data: {message}"))
}

/// A JSON object with its members in order, their values not parsed.
struct RawObject<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for RawObject<'a> {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        struct Members;

        impl<'de> Visitor<'de> for Members {
            type Value = RawObject<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<RawObject<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(RawObject(members))
            }
        }

        source.deserialize_map(Members)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{StreamExt, stream};

    use super::*;
    use crate::testing::{CoreStub, app};

    fn upload(chunks: impl futures_util::Stream<Item = &'static str> + Send + 'static) -> Request {
        let body = Body::from_stream(chunks.map(Ok::<_, std::convert::Infallible>));
        Request::post("/").header("content-type", "Multipart/Form-Data; boundary=b").body(body).unwrap()
    }

    const HEAD: &str = "--b\r\nContent-Disposition: form-data; name=\"image\"; filename=\"a\"\r\n\r\n";

    #[tokio::test]
    async fn multipart_field_split_over_many_chunks_is_joined() {
        let chunks = [HEAD, "one ", "two ", "three\r", "\n--b--\r\n"];
        let read = FormBody::from_request(upload(stream::iter(chunks)), &app(&CoreStub::default(), 1000)).await;
        let FormBody::Multipart(fields) = read.unwrap() else { panic!("not multipart") };
        let [(name, Value::File(data))] = fields.as_slice() else { panic!("{fields:?}") };
        assert_eq!((name.as_str(), data.as_ref()), ("image", b"one two three".as_slice()));
    }

    #[tokio::test]
    async fn multipart_body_over_the_limit_returns_413_before_its_end() {
        let endless = stream::iter([HEAD]).chain(stream::repeat("0123456789"));
        let error = FormBody::from_request(upload(endless), &app(&CoreStub::default(), 1000)).await.unwrap_err();
        assert_eq!((error.status().as_u16(), error.code()), (413, "request_too_large"));
    }

    #[tokio::test(start_paused = true)]
    async fn stalled_multipart_body_returns_408() {
        let stalled = stream::iter([HEAD, "one"]).chain(stream::pending());
        let error = FormBody::from_request(upload(stalled), &app(&CoreStub::default(), 1000)).await.unwrap_err();
        assert_eq!((error.status().as_u16(), error.code()), (408, "request_timeout"));
    }
}
