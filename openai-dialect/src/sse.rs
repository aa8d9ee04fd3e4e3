//! Incremental reader of server-sent events (`text/event-stream`), for the streams of upstreams.
//!
//! Known deviations and edge cases of real chat upstreams that it handles:
//!
//! - Lines end in LF, CRLF or CR, and a packet boundary may split a line end or a UTF-8 character.
//! - Comments (keep-alives) may be arbitrarily long.
//! - The last event may lack the empty line that ends it.
//! - Old llama.cpp servers report failures in a field named `error`.
//!
//! Written here rather than taken from a crate for two reasons: it must accept the deviations above, and the fastest library
//! reader that was measured (`sseer` 0.3.1) takes 0.24 µs per event, while a chunk that differs from the one before it in its
//! text only passes through core and gateway in 0.05 to 0.07 µs. This reader returns data borrowed from its buffer. See `docs/DESIGN.md`.
//!
//! Once all complete events have been returned, only the bytes of the incomplete one stay in memory, 16 MiB at most per
//! line and per event.

use std::{fmt, ops::Range};

use memchr::memchr2;

/// Maximum length of a buffered event in bytes.
const MAX_EVENT: usize = 16 << 20;

/// One event. The fields `event`, `id` and `retry` are ignored.
#[derive(Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// The data, its lines joined by LF.
    Data(&'a [u8]),
    /// The value of a field named `error`.
    Error(&'a [u8]),
}

/// The error for an event that exceeds the maximum length of 16 MiB.
#[derive(Debug, PartialEq, Eq)]
pub struct EventTooLong;

impl fmt::Display for EventTooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an event of the upstream's stream exceeds {MAX_EVENT} bytes")
    }
}

impl std::error::Error for EventTooLong {}

/// Reads one event stream, which may arrive in packets of any size.
#[derive(Debug, Default)]
pub struct EventReader {
    /// Received bytes.
    buffer: Vec<u8>,
    /// Number of bytes of `buffer` that have been parsed.
    parsed: usize,
    /// Number of bytes of the current line, which starts at `parsed`, that were searched for a line end.
    searched: usize,
    /// Data of the current event so far.
    data: Data,
    /// The data lines, if they had to be copied out of `buffer`: there are several, or the event is incomplete.
    lines: Vec<u8>,
    /// The last line ended in CR; an LF that follows is part of the line end.
    after_cr: bool,
    /// The current line is a comment whose start has been discarded.
    in_comment: bool,
}

/// Location of an event's data. Most events have one data line, which need not be copied.
#[derive(Debug, Default)]
enum Data {
    #[default]
    Empty,
    /// One line of `buffer`.
    Buffered(Range<usize>),
    /// In `lines`, joined by LF.
    Copied,
}

impl EventReader {
    /// Appends received bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.parsed > 0 {
            self.buffer.drain(..self.parsed);
            self.parsed = 0;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// Returns the next complete event, or `None` if more bytes are needed.
    pub fn next_event(&mut self) -> Result<Option<Event<'_>>, EventTooLong> {
        if matches!(self.data, Data::Empty) {
            // The lines of the previous event, which the caller borrowed until now.
            self.lines.clear();
        }
        loop {
            let rest = &self.buffer[self.parsed..];
            if std::mem::take(&mut self.after_cr) {
                match rest.first() {
                    Some(b'\n') => {
                        self.parsed += 1;
                        continue;
                    }
                    Some(_) => {}
                    None => {
                        self.after_cr = true;
                        self.copy_data();
                        return Ok(None);
                    }
                }
            }
            let Some(length) = memchr2(b'\n', b'\r', &rest[self.searched..]).map(|at| at + self.searched) else {
                self.searched = rest.len();
                return self.incomplete_line();
            };
            let end = self.parsed + length;
            let line = &self.buffer[self.parsed..end];
            self.after_cr = rest[length] == b'\r';
            self.parsed = end + 1;
            self.searched = 0;
            if std::mem::take(&mut self.in_comment) {
                continue;
            }
            match parse_line(line) {
                Line::Empty => match std::mem::take(&mut self.data) {
                    Data::Empty => {}
                    Data::Buffered(line) => return Ok(Some(Event::Data(&self.buffer[line]))),
                    Data::Copied => return Ok(Some(Event::Data(&self.lines))),
                },
                Line::Data(length) => self.add_data(end - length..end)?,
                Line::Error(length) => {
                    self.data = Data::Empty;
                    return Ok(Some(Event::Error(&self.buffer[end - length..end])));
                }
                Line::Ignored => {}
            }
        }
    }

    /// Ends the stream and returns its last event if the empty line after it is missing.
    pub fn finish(&mut self) -> Result<Option<Event<'_>>, EventTooLong> {
        self.push(b"\n\n");
        self.next_event()
    }

    fn add_data(&mut self, line: Range<usize>) -> Result<(), EventTooLong> {
        if matches!(self.data, Data::Empty) {
            self.data = Data::Buffered(line.clone());
        } else {
            self.copy_data();
            self.lines.push(b'\n');
            self.lines.extend_from_slice(&self.buffer[line.clone()]);
        }
        if self.lines.len().max(line.len()) > MAX_EVENT { Err(EventTooLong) } else { Ok(()) }
    }

    /// Copies a data line out of `buffer`, which the next [`push`](Self::push) overwrites.
    fn copy_data(&mut self) {
        if let Data::Buffered(line) = &self.data {
            self.lines.extend_from_slice(&self.buffer[line.clone()]);
            self.data = Data::Copied;
        }
    }

    /// Keeps an incomplete line up to the length limit, but discards an incomplete comment.
    fn incomplete_line(&mut self) -> Result<Option<Event<'_>>, EventTooLong> {
        self.copy_data();
        let line = &self.buffer[self.parsed..];
        if self.in_comment || line.first() == Some(&b':') {
            self.in_comment = true;
            self.parsed = self.buffer.len();
            self.searched = 0;
            return Ok(None);
        }
        if line.len() > MAX_EVENT { Err(EventTooLong) } else { Ok(None) }
    }
}

/// A parsed line. `Data` and `Error` carry the length of the value, which is at the end of the line.
enum Line {
    Empty,
    Data(usize),
    Error(usize),
    /// A comment or another field.
    Ignored,
}

fn parse_line(line: &[u8]) -> Line {
    // A byte order mark may precede the first line. It is removed from every line: no field name begins with one.
    let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
    let value_length = |rest: &[u8]| rest.strip_prefix(b" ").unwrap_or(rest).len();
    if line.is_empty() {
        Line::Empty
    } else if let Some(rest) = line.strip_prefix(b"data:") {
        Line::Data(value_length(rest))
    } else if let Some(rest) = line.strip_prefix(b"error:") {
        Line::Error(value_length(rest))
    } else {
        Line::Ignored
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the events of `stream`, read in packets of `size` bytes.
    fn events(stream: &[u8], size: usize) -> Vec<String> {
        let mut reader = EventReader::default();
        let mut events = Vec::new();
        let mut record = |event: Event<'_>| {
            events.push(match event {
                Event::Data(data) => String::from_utf8(data.to_vec()).unwrap(),
                Event::Error(error) => format!("error {}", String::from_utf8(error.to_vec()).unwrap()),
            });
        };
        for packet in stream.chunks(size) {
            reader.push(packet);
            while let Some(event) = reader.next_event().unwrap() {
                record(event);
            }
        }
        if let Some(event) = reader.finish().unwrap() {
            record(event);
        }
        events
    }

    #[test]
    fn packet_size_does_not_change_the_events() {
        let stream = "\u{feff}: hello\r\n\r\ndata: {\"a\":\"é世\"}\n\ndata:one\rdata: two\r\r\n:\n\nevent: x\nid: 3\ndata: last\r\n\r\nerror: {\"code\":500}\n\ndata: [DONE]";
        let expected = ["{\"a\":\"é世\"}", "one\ntwo", "last", "error {\"code\":500}", "[DONE]"];
        for size in 1..=stream.len() {
            assert_eq!(events(stream.as_bytes(), size), expected, "packets of {size} bytes");
        }
    }

    #[test]
    fn unterminated_comment_is_not_buffered() {
        let mut reader = EventReader::default();
        reader.push(b":");
        for _ in 0..1000 {
            reader.push(&[b'x'; 4096]);
            assert_eq!(reader.next_event(), Ok(None));
            assert!(reader.buffer.len() <= 4097, "{} bytes buffered", reader.buffer.len());
        }
        reader.push(b"\ndata: on\n\n");
        assert_eq!(reader.next_event(), Ok(Some(Event::Data(b"on"))));
    }

    #[test]
    fn line_beyond_the_limit_returns_an_error() {
        let mut reader = EventReader::default();
        reader.push(b"data: ");
        let rejected = (0..=(MAX_EVENT / 65536)).any(|_| {
            reader.push(&vec![b'x'; 65536]);
            reader.next_event() == Err(EventTooLong)
        });
        assert!(rejected);
    }

    #[test]
    fn data_lines_that_together_exceed_the_limit_return_an_error() {
        let mut reader = EventReader::default();
        let line = [b"data: ".as_slice(), &vec![b'x'; 65536], b"\n"].concat();
        let rejected = (0..=(MAX_EVENT / 65536)).any(|_| {
            reader.push(&line);
            reader.next_event() == Err(EventTooLong)
        });
        assert!(rejected);
    }
}
