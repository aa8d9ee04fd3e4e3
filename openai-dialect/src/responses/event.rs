//! One event of a streamed response.

/// An event, as the stream of a response carries it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The position in the stream, from 0 without gaps.
    pub sequence_number: u64,
    /// The type, for example `response.output_text.delta`; also the `event` field of the server-sent event.
    pub name: &'static str,
    /// The JSON object, with `type` and `sequence_number`. One line.
    pub data: String,
}
