//! Reading an event stream piece by piece, as the pieces happen to arrive.
//!
//! Written for the streams that chat upstreams really send: lines end in LF, CRLF or CR, comments may go on for ever,
//! a character or a line end may be torn by a packet, and old llama.cpp servers write failures as a field named `error`.
//! Only what one event needs is ever held.

use std::fmt;

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
    /// The data lines of the event under way, joined.
    data: Vec<u8>,
    has_data: bool,
    /// The last line ended in CR; an LF right behind it belongs to it.
    after_cr: bool,
    /// The line under way is a comment whose beginning was thrown away already.
    in_comment: bool,
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
        // The data of the event given out last.
        if !self.has_data {
            self.data.clear();
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
                        return Ok(None);
                    }
                }
            }
            let Some(length) = memchr2(b'\n', b'\r', &rest[self.searched..]).map(|at| at + self.searched) else {
                self.searched = rest.len();
                return self.torn_line();
            };
            let line = self.taken..self.taken + length;
            self.after_cr = rest[length] == b'\r';
            self.taken += length + 1;
            self.searched = 0;
            if std::mem::take(&mut self.in_comment) {
                continue;
            }
            match field(&self.buffer[line]) {
                Field::Blank if std::mem::take(&mut self.has_data) => return Ok(Some(Event::Data(&self.data))),
                Field::Data(value) => {
                    if self.has_data {
                        self.data.push(b'\n');
                    }
                    if self.data.len() + value.len() > MAX_EVENT {
                        return Err(TooLong);
                    }
                    self.has_data = true;
                    self.data.extend_from_slice(value);
                }
                Field::Error(value) => {
                    self.has_data = false;
                    self.data.clear();
                    self.data.extend_from_slice(value);
                    return Ok(Some(Event::Error(&self.data)));
                }
                Field::Blank | Field::Other => {}
            }
        }
    }

    /// A line whose end has not arrived: kept for later within bounds, a comment not at all.
    fn torn_line(&mut self) -> Result<Option<Event<'_>>, TooLong> {
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

enum Field<'a> {
    Blank,
    Data(&'a [u8]),
    Error(&'a [u8]),
    Other,
}

fn field(line: &[u8]) -> Field<'_> {
    let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
    let value = |rest: &'_ [u8]| -> usize { usize::from(rest.first() == Some(&b' ')) };
    if line.is_empty() {
        Field::Blank
    } else if let Some(rest) = line.strip_prefix(b"data:") {
        Field::Data(&rest[value(rest)..])
    } else if let Some(rest) = line.strip_prefix(b"error:") {
        Field::Error(&rest[value(rest)..])
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
