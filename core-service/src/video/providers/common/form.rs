//! Encoding of `multipart/form-data` request bodies (RFC 7578).

use http::HeaderValue;

use super::exchange::Content;
use crate::error::ProviderError;

/// A multipart form under construction.
#[derive(Debug)]
pub(in crate::video::providers) struct Form {
    boundary: String,
    body: Vec<u8>,
}

impl Form {
    /// Creates an empty form with a random boundary. `capacity` is the expected length in bytes.
    pub(in crate::video::providers) fn with_capacity(capacity: usize) -> Self {
        Self { boundary: uuid::Uuid::new_v4().simple().to_string(), body: Vec::with_capacity(capacity) }
    }

    /// Adds a text part.
    pub(in crate::video::providers) fn text(&mut self, name: &str, value: &str) {
        let Self { boundary, body } = self;
        let name = quoted(name);
        body.extend(
            format!("--{boundary}\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n").bytes(),
        );
    }

    /// Adds a file part.
    pub(in crate::video::providers) fn file(&mut self, name: &str, file_name: &str, media_type: &str, bytes: &[u8]) {
        let Self { boundary, body } = self;
        let (name, file_name) = (quoted(name), quoted(file_name));
        body.extend(
            format!(
                "--{boundary}\r\ncontent-disposition: form-data; name=\"{name}\"; filename=\"{file_name}\"\r\n\
                 content-type: {media_type}\r\n\r\n"
            )
            .bytes(),
        );
        body.extend_from_slice(bytes);
        body.extend(b"\r\n");
    }

    /// Ends the form, and returns it as a request body.
    ///
    /// # Errors
    /// [`ProviderError::NotSupported`] if the boundary cannot be sent in a header. Does not happen: it consists of hexadecimal digits.
    pub(in crate::video::providers) fn finish(self) -> Result<Content, ProviderError> {
        let Self { boundary, mut body } = self;
        body.extend(format!("--{boundary}--\r\n").bytes());
        let content_type = HeaderValue::try_from(format!("multipart/form-data; boundary={boundary}"));
        // `NotSupported` rather than `Broken`, which would mean that the upstream may have executed the request.
        let content_type = content_type
            .map_err(|error| ProviderError::NotSupported(format!("encoding the multipart request failed: {error}")))?;
        Ok(Content { content_type, body: body.into() })
    }
}

/// Escapes a name for `content-disposition`, as browsers do (`multipart/form-data` in the HTML standard).
fn quoted(name: &str) -> String {
    name.replace('"', "%22").replace('\r', "%0D").replace('\n', "%0A")
}
