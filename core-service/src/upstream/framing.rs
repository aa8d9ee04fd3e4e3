//! Body framing: which bytes behind a response head are body data, and where the body ends (RFC 9112, sections 6 and 7).
//!
//! A state machine without a buffer: only the state is kept between reads, wherever packets are cut.

/// The most framing bytes between two parts of the data: chunk sizes, chunk extensions, trailers.
const MAX_OVERHEAD: u32 = 64 << 10;

/// The bytes violate HTTP/1.1.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// The framing of a body and how much of it is outstanding.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// This many more bytes; 0 at the end.
    Length(u64),
    /// Chunked transfer coding.
    Chunked(Chunked),
    /// Everything until the connection closes.
    UntilClose,
    /// A protocol error was found; every further read fails.
    Malformed,
}

/// The position within a chunked body.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Chunked {
    state: State,
    /// Framing bytes since the last data.
    overhead: u32,
}

/// What the next byte belongs to; numbers are the chunk size so far, or the data bytes left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// The first digit of a chunk's size.
    Size,
    /// Another digit, or the byte after the size.
    Digits(u64),
    Extension(u64),
    SizeLf(u64),
    Data(u64),
    DataCr,
    DataLf,
    /// The first byte of a trailer line, or of the empty line after the trailers.
    Trailer,
    TrailerLine,
    TrailerLf,
    LastLf,
}

impl Framing {
    /// Returns the framing of a chunked body at its start.
    pub(super) fn chunked() -> Self {
        Self::Chunked(Chunked { state: State::Size, overhead: 0 })
    }

    /// Returns the next data and advances `input` past it; `None` once the input is used up or the body has ended.
    pub(super) fn next_data<'a>(&mut self, input: &mut &'a [u8]) -> Result<Option<&'a [u8]>, Malformed> {
        let data = match self {
            Self::Length(left) => split(input, left),
            Self::UntilClose => std::mem::take(input),
            Self::Chunked(chunked) => match chunked.next_data(input) {
                Ok(Some(data)) => data,
                Ok(None) => {
                    *self = Self::Length(0);
                    &[]
                }
                Err(Malformed) => {
                    *self = Self::Malformed;
                    return Err(Malformed);
                }
            },
            Self::Malformed => return Err(Malformed),
        };
        Ok((!data.is_empty()).then_some(data))
    }

    /// Returns whether the whole body has been read.
    pub(super) fn has_ended(&self) -> bool {
        matches!(self, Self::Length(0))
    }

    /// Notes that the connection was closed.
    ///
    /// # Errors
    /// A body that is not complete.
    pub(super) fn close(&mut self) -> Result<(), Malformed> {
        match self {
            Self::Length(0) => Ok(()),
            Self::UntilClose => {
                *self = Self::Length(0);
                Ok(())
            }
            Self::Length(_) | Self::Chunked(_) | Self::Malformed => Err(Malformed),
        }
    }
}

/// Takes at most `left` bytes from the front of `input`.
fn split<'a>(input: &mut &'a [u8], left: &mut u64) -> &'a [u8] {
    let length = usize::try_from(*left).map_or(input.len(), |left| left.min(input.len()));
    let (data, rest) = input.split_at(length);
    *input = rest;
    *left -= length as u64;
    data
}

impl Chunked {
    /// Returns the next data, empty when the input is used up; `None` at the end of the body.
    fn next_data<'a>(&mut self, input: &mut &'a [u8]) -> Result<Option<&'a [u8]>, Malformed> {
        loop {
            if let State::Data(left) = &mut self.state {
                let data = split(input, left);
                if *left == 0 {
                    (self.state, self.overhead) = (State::DataCr, 0);
                }
                return Ok(Some(data));
            }
            let Some((&byte, rest)) = input.split_first() else { return Ok(Some(&[])) };
            *input = rest;
            self.overhead += 1;
            self.state = match (self.state, byte) {
                (State::LastLf, b'\n') => return Ok(None),
                _ if self.overhead > MAX_OVERHEAD => return Err(Malformed),
                (State::Size, _) => State::Digits(digit(byte).ok_or(Malformed)?),
                (State::Digits(size) | State::Extension(size), b'\r') => State::SizeLf(size),
                // Some servers pad the size with blanks to a fixed width.
                (State::Digits(size), b';' | b' ' | b'\t') | (State::Extension(size), _) => State::Extension(size),
                (State::Digits(size), _) => {
                    let more = digit(byte).ok_or(Malformed)?;
                    State::Digits(size.checked_mul(16).ok_or(Malformed)? + more)
                }
                (State::SizeLf(0) | State::TrailerLf, b'\n') => State::Trailer,
                (State::SizeLf(size), b'\n') => State::Data(size),
                (State::DataCr, b'\r') => State::DataLf,
                (State::DataLf, b'\n') => State::Size,
                (State::Trailer, b'\r') => State::LastLf,
                (State::TrailerLine, b'\r') => State::TrailerLf,
                (State::Trailer | State::TrailerLine, _) => State::TrailerLine,
                (
                    State::SizeLf(_)
                    | State::DataCr
                    | State::DataLf
                    | State::TrailerLf
                    | State::LastLf
                    | State::Data(_),
                    _,
                ) => {
                    return Err(Malformed);
                }
            };
        }
    }
}

fn digit(byte: u8) -> Option<u64> {
    char::from(byte).to_digit(16).map(u64::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads a body in packets of `size` bytes. Returns its data, whether it has ended, and the number of bytes after it.
    fn read(mut framing: Framing, wire: &[u8], size: usize) -> Result<(String, bool, usize), Malformed> {
        let (mut data, mut trailing) = (Vec::new(), 0);
        for packet in wire.chunks(size) {
            let mut rest = packet;
            while let Some(part) = framing.next_data(&mut rest)? {
                data.extend_from_slice(part);
            }
            trailing += rest.len();
        }
        Ok((String::from_utf8(data).unwrap(), framing.has_ended(), trailing))
    }

    #[test]
    fn chunked_body_is_read_wherever_packets_are_cut() {
        let wire = b"4\r\nWiki\r\nA ;a=\"b\"\r\npedia in\r\n\r\n000c\r\n chunks.0\r\n\r\r\n0\r\nx: y\r\nz:\r\n\r\nHTTP";
        for size in 1..=wire.len() {
            let read = read(Framing::chunked(), wire, size);
            assert_eq!(read, Ok(("Wikipedia in\r\n chunks.0\r\n\r".to_owned(), true, 4)), "in packets of {size}");
        }
    }

    #[test]
    fn content_length_body_leaves_the_bytes_after_it() {
        for size in 1..9 {
            assert_eq!(read(Framing::Length(5), b"helloHTTP", size), Ok(("hello".to_owned(), true, 4)));
        }
        assert_eq!(read(Framing::Length(5), b"hell", 4), Ok(("hell".to_owned(), false, 0)));
        assert_eq!(read(Framing::Length(0), b"x", 1), Ok((String::new(), true, 1)));
    }

    #[test]
    fn close_ends_only_bodies_without_length_and_chunks() {
        let mut open = Framing::UntilClose;
        assert_eq!((open.close(), open.has_ended()), (Ok(()), true));
        assert_eq!(Framing::Length(1).close(), Err(Malformed));
        assert_eq!(Framing::chunked().close(), Err(Malformed));
        assert_eq!(Framing::Length(0).close(), Ok(()));
    }

    #[test]
    fn malformed_chunks_are_rejected() {
        let endless = [b"1;".as_slice(), &vec![b'x'; MAX_OVERHEAD as usize]].concat();
        let trailers = [b"0\r\n".as_slice(), &b"a:b\r\n".repeat(20_000)].concat();
        let wires: [&[u8]; 9] = [
            b"x\r\n",
            b"\r\n",
            b"-1\r\n",
            b"1\nx",
            b"1\r\nxy",
            b"1\r\nx\n",
            // A size of more than 64 bits.
            b"11111111111111111\r\n",
            &endless,
            &trailers,
        ];
        for wire in wires {
            assert_eq!(read(Framing::chunked(), wire, 7), Err(Malformed), "{}", String::from_utf8_lossy(wire));
        }
    }
}
