//! The text format of log lines without colours: that of `tracing_subscriber`, written at a fraction of its cost. The access log has a
//! line for each call.

use std::{
    fmt::{self, Debug, Write as _},
    time::SystemTime,
};

use humantime_serde::re::humantime::format_rfc3339_micros;
use tracing::field::{Field, Visit};
use tracing_subscriber::{
    field::RecordFields,
    fmt::{FormatFields, format::Writer, time::FormatTime},
};

/// Writes the time of a line in UTC with microseconds: `2030-01-02T03:04:05.678901Z`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Utc;

impl FormatTime for Utc {
    fn format_time(&self, writer: &mut Writer<'_>) -> fmt::Result {
        write!(writer, "{}", format_rfc3339_micros(SystemTime::now()))
    }
}

/// Writes the fields of a line or span: `message key=value key="text"`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PlainFields;

impl<'writer> FormatFields<'writer> for PlainFields {
    fn format_fields<R: RecordFields>(&self, mut writer: Writer<'writer>, fields: R) -> fmt::Result {
        let mut visitor = FieldVisitor { text: String::with_capacity(USUAL_LENGTH) };
        fields.record(&mut visitor);
        writer.write_str(&visitor.text)
    }
}

/// The length of most lines, in bytes.
const USUAL_LENGTH: usize = 512;

/// Collects the text of all fields, because each write to a [`Writer`] is a virtual call.
struct FieldVisitor {
    text: String,
}

impl FieldVisitor {
    /// Writes what precedes the value of a field.
    fn begin(&mut self, name: &str) {
        if !self.text.is_empty() {
            self.text.push(' ');
        }
        if name != MESSAGE {
            self.text.push_str(name.strip_prefix("r#").unwrap_or(name));
            self.text.push('=');
        }
    }
}

/// The field that `tracing` gives the text of an event. It is written without its name and without quotes.
const MESSAGE: &str = "message";

// Writing to a string cannot fail.
impl Visit for FieldVisitor {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.begin(field.name());
        if field.name() == MESSAGE {
            self.text.push_str(value);
        } else if is_plain(value) {
            self.text.push('"');
            self.text.push_str(value);
            self.text.push('"');
        } else {
            let _ = write!(self.text, "{value:?}");
        }
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.begin(field.name());
        self.text.push_str(itoa::Buffer::new().format(value));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.begin(field.name());
        let _ = write!(self.text, "{value:?}");
    }
}

/// Returns whether [`Debug`], which decodes and classifies each character of a text, only puts quotes around it.
fn is_plain(text: &str) -> bool {
    // Not `all`, which ends early: without branches, many bytes are compared at once.
    let is_plain = |byte: u8| matches!(byte, b' ' | b'!' | b'#'..=b'[' | b']'..=b'~');
    text.bytes().fold(true, |all, byte| all & is_plain(byte))
}

#[cfg(test)]
mod tests {
    use std::{
        io::{self, Read as _, Seek as _},
        sync::Arc,
    };

    use tracing::subscriber::with_default;
    use tracing_subscriber::{
        fmt::{FormatFields, format::DefaultFields, layer},
        layer::SubscriberExt,
    };

    use super::*;

    fn logged<F: for<'writer> FormatFields<'writer> + Send + Sync + 'static>(fields: F) -> String {
        let log = Arc::new(tempfile::tempfile().unwrap());
        let layer = layer().with_writer(Arc::clone(&log)).with_ansi(false).without_time().fmt_fields(fields);
        with_default(tracing_subscriber::registry().with(layer), || {
            let span = tracing::info_span!("request", id = "req_1", attempt = tracing::field::Empty).entered();
            span.record("attempt", 2);
            let error = io::Error::other("it \"failed\"");
            tracing::info!(text = "a b", quoted = "a \"b\" \\ \n é \u{7f}", r#type = %"shown", "message with {}", "arguments");
            tracing::info!(message = "plain \"message\"", none = None::<u64>, some = Some("x"));
            tracing::info!(
                unsigned = u64::MAX,
                signed = -1,
                wide = i128::MIN,
                float = 1.5,
                whole = 2.0,
                flag = true,
                debug = ?Some("x"),
                error = &error as &dyn std::error::Error,
            );
        });
        let mut text = String::new();
        (&*log).rewind().and_then(|()| (&*log).read_to_string(&mut text)).unwrap();
        text
    }

    #[test]
    fn lines_are_those_of_the_default_format() {
        let lines = logged(PlainFields);
        assert_eq!(lines, logged(DefaultFields::new()));
        assert_eq!(lines.lines().count(), 3, "{lines}");
    }

    #[test]
    fn time_is_utc_with_microseconds() {
        let mut text = String::new();
        Utc.format_time(&mut Writer::new(&mut text)).unwrap();
        assert_eq!(text.len(), "2030-01-02T03:04:05.678901Z".len(), "{text}");
        assert!(text.ends_with('Z'), "{text}");
    }
}
