//! Reading an event stream piece by piece, as the pieces happen to arrive.
//!
//! Written for the streams that chat upstreams really send: lines end in LF, CRLF or CR, comments may go on for ever,
//! a character or a line end may be torn by a packet, and old llama.cpp servers write failures as a field named `error`.
//! Only what one event needs is ever held.

use std::{fmt, ops::Range};

use memchr::memchr2;

/// Longest event that is held, in bytes.
const MAX_EVENT: usize = 16 << 20;

/// One event. Names and ids are of no use to us and are read over.
#[derive(Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// The data, lines joined by LF.
    Data(&'a [u8]),
    /// The value of a field named `error`.
    Error(&'a [u8]),
}

/// An event is longer than we are willing to hold.
#[derive(Debug, PartialEq, Eq)]
pub struct TooLong;

impl fmt::Display for TooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an event of the upstream's stream is longer than {MAX_EVENT} bytes")
    }
}

impl std::error::Error for TooLong {}

/// An event stream under way.
#[derive(Debug, Default)]
pub struct EventReader {
    /// What has arrived and is not yet an event.
    buffer: Vec<u8>,
    /// How much of it has been given out or read over.
    taken: usize,
    /// How much of the line that begins at `taken` was searched for an end.
    searched: usize,
    /// The data of the event under way, as far as it has been read.
    data: Data,
    /// Its lines, where there are several or the next one has not arrived.
    lines: Vec<u8>,
    /// The last line ended in CR; an LF right behind it belongs to it.
    after_cr: bool,
    /// The line under way is a comment whose beginning was thrown away already.
    in_comment: bool,
}

/// Where the data of an event is. Most have one line, and need not be copied.
#[derive(Debug, Default)]
enum Data {
    #[default]
    Nowhere,
    /// One line of the buffer.
    Line(Range<usize>),
    /// In `lines`, joined.
    Lines,
}

impl EventReader {
    /// Takes what arrived.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.taken > 0 {
            self.buffer.drain(..self.taken);
            self.taken = 0;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole event, if it has arrived.
    #[expect(clippy::should_implement_trait, reason = "the event is lent, which an iterator cannot do")]
    pub fn next(&mut self) -> Result<Option<Event<'_>>, TooLong> {
        if matches!(self.data, Data::Nowhere) {
            // Those of the event that was given out last.
            self.lines.clear();
        }
        loop {
            let rest = &self.buffer[self.taken..];
            if std::mem::take(&mut self.after_cr) {
                match rest.first() {
                    Some(b'\n') => {
                        self.taken += 1;
                        continue;
                    }
                    Some(_) => {}
                    None => {
                        self.after_cr = true;
                        self.keep_data();
                        return Ok(None);
                    }
                }
            }
            let Some(length) = memchr2(b'\n', b'\r', &rest[self.searched..]).map(|at| at + self.searched) else {
                self.searched = rest.len();
                return self.torn_line();
            };
            let end = self.taken + length;
            let line = &self.buffer[self.taken..end];
            self.after_cr = rest[length] == b'\r';
            self.taken = end + 1;
            self.searched = 0;
            if std::mem::take(&mut self.in_comment) {
                continue;
            }
            match field(line) {
                Field::Blank => match std::mem::take(&mut self.data) {
                    Data::Nowhere => {}
                    Data::Line(line) => return Ok(Some(Event::Data(&self.buffer[line]))),
                    Data::Lines => return Ok(Some(Event::Data(&self.lines))),
                },
                Field::Data(length) => self.add_data(end - length..end)?,
                Field::Error(length) => {
                    self.data = Data::Nowhere;
                    return Ok(Some(Event::Error(&self.buffer[end - length..end])));
                }
                Field::Other => {}
            }
        }
    }

    fn add_data(&mut self, line: Range<usize>) -> Result<(), TooLong> {
        if matches!(self.data, Data::Nowhere) {
            self.data = Data::Line(line.clone());
        } else {
            self.keep_data();
            self.lines.push(b'\n');
            self.lines.extend_from_slice(&self.buffer[line.clone()]);
        }
        if self.lines.len().max(line.len()) > MAX_EVENT { Err(TooLong) } else { Ok(()) }
    }

    /// Copies the line of data that is still in the buffer.
    fn keep_data(&mut self) {
        if let Data::Line(line) = &self.data {
            self.lines.extend_from_slice(&self.buffer[line.clone()]);
            self.data = Data::Lines;
        }
    }

    /// A line whose end has not arrived: kept for later within bounds, a comment not at all.
    fn torn_line(&mut self) -> Result<Option<Event<'_>>, TooLong> {
        self.keep_data();
        let line = &self.buffer[self.taken..];
        if self.in_comment || line.first() == Some(&b':') {
            self.in_comment = true;
            self.taken = self.buffer.len();
            self.searched = 0;
            return Ok(None);
        }
        if line.len() > MAX_EVENT { Err(TooLong) } else { Ok(None) }
    }

    /// What the stream ended with, if that is an event without the blank line behind it.
    pub fn last(&mut self) -> Result<Option<Event<'_>>, TooLong> {
        self.push(b"\n\n");
        self.next()
    }
}

/// What a line is; a value is told by its length, for it is the line's end.
enum Field {
    Blank,
    Data(usize),
    Error(usize),
    Other,
}

fn field(line: &[u8]) -> Field {
    let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
    let value = |rest: &[u8]| rest.strip_prefix(b" ").unwrap_or(rest).len();
    if line.is_empty() {
        Field::Blank
    } else if let Some(rest) = line.strip_prefix(b"data:") {
        Field::Data(value(rest))
    } else if let Some(rest) = line.strip_prefix(b"error:") {
        Field::Error(value(rest))
    } else {
        Field::Other
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_in_pieces(stream: &[u8], size: usize) -> Vec<String> {
        let mut reader = EventReader::default();
        let mut events = Vec::new();
        let mut note = |event: Event<'_>| {
            events.push(match event {
                Event::Data(data) => String::from_utf8(data.to_vec()).unwrap(),
                Event::Error(error) => format!("error {}", String::from_utf8(error.to_vec()).unwrap()),
            });
        };
        for piece in stream.chunks(size) {
            reader.push(piece);
            while let Some(event) = reader.next().unwrap() {
                note(event);
            }
        }
        if let Some(event) = reader.last().unwrap() {
            note(event);
        }
        events
    }

    #[test]
    fn events_are_the_same_however_the_packets_are_torn() {
        let stream = "\u{feff}: hello\r\n\r\ndata: {\"a\":\"é世\"}\n\ndata:one\rdata: two\r\r\n:\n\nevent: x\nid: 3\ndata: last\r\n\r\nerror: {\"code\":500}\n\ndata: [DONE]";
        let expected = ["{\"a\":\"é世\"}", "one\ntwo", "last", "error {\"code\":500}", "[DONE]"];
        for size in 1..=stream.len() {
            assert_eq!(read_in_pieces(stream.as_bytes(), size), expected, "in pieces of {size}");
        }
    }

    #[test]
    fn an_endless_comment_is_not_kept() {
        let mut reader = EventReader::default();
        reader.push(b":");
        for _ in 0..1000 {
            reader.push(&[b'x'; 4096]);
            assert_eq!(reader.next(), Ok(None));
            assert!(reader.buffer.len() <= 4097, "{} bytes kept", reader.buffer.len());
        }
        reader.push(b"\ndata: on\n\n");
        assert_eq!(reader.next(), Ok(Some(Event::Data(b"on"))));
    }

    #[test]
    fn an_event_beyond_the_bound_is_refused() {
        let mut reader = EventReader::default();
        reader.push(b"data: ");
        let refused = (0..=(MAX_EVENT / 65536)).any(|_| {
            reader.push(&vec![b'x'; 65536]);
            reader.next() == Err(TooLong)
        });
        assert!(refused);
    }

    #[test]
    fn many_data_lines_count_together() {
        let mut reader = EventReader::default();
        let line = [b"data: ".as_slice(), &vec![b'x'; 65536], b"\n"].concat();
        let refused = (0..=(MAX_EVENT / 65536)).any(|_| {
            reader.push(&line);
            reader.next() == Err(TooLong)
        });
        assert!(refused);
    }
}
