//! Which of the bytes behind a head are its body, and where that ends (RFC 9112, sections 6 and 7).
//!
//! Nothing is kept from one read to the next but a state, so that a body costs no memory however it is cut.

/// Most that may stand around the data of a body between two pieces of it: extensions of chunks and trailers.
const MAX_OVERHEAD: u32 = 64 << 10;

/// The bytes are no HTTP/1.1.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// How much of the body is still to come.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// So many bytes; none at its end.
    Length(u64),
    /// As many chunks as come.
    Chunked(Chunked),
    /// All until the connection closes.
    UntilClose,
    /// Nothing: it made no sense.
    Malformed,
}

/// The place within a body in chunks.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Chunked {
    next: Next,
    overhead: u32,
}

/// What the next byte belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    /// The first digit of a chunk's size.
    Size,
    /// Another one, or what stands behind them.
    Digits(u64),
    Extension(u64),
    SizeLf(u64),
    Data(u64),
    DataCr,
    DataLf,
    /// A trailer, or the empty line behind them.
    Trailer,
    TrailerLine,
    TrailerLf,
    LastLf,
}

impl Framing {
    pub(super) fn chunked() -> Self {
        Self::Chunked(Chunked { next: Next::Size, overhead: 0 })
    }

    /// The next data in `input`, which is left behind it; `None` once the input is used up or the body has ended.
    pub(super) fn take<'a>(&mut self, input: &mut &'a [u8]) -> Result<Option<&'a [u8]>, Malformed> {
        let data = match self {
            Self::Length(left) => split(input, left),
            Self::UntilClose => std::mem::take(input),
            Self::Chunked(chunked) => match chunked.take(input) {
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

    pub(super) fn has_ended(&self) -> bool {
        matches!(self, Self::Length(0))
    }

    /// Takes note that the connection has closed. Not every body may end so.
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

/// At most `left` bytes from the front of `input`.
fn split<'a>(input: &mut &'a [u8], left: &mut u64) -> &'a [u8] {
    let length = usize::try_from(*left).map_or(input.len(), |left| left.min(input.len()));
    let (data, rest) = input.split_at(length);
    *input = rest;
    *left -= length as u64;
    data
}

impl Chunked {
    /// The next data, empty when the input is used up; `None` at the end of the body.
    fn take<'a>(&mut self, input: &mut &'a [u8]) -> Result<Option<&'a [u8]>, Malformed> {
        loop {
            if let Next::Data(left) = &mut self.next {
                let data = split(input, left);
                if *left == 0 {
                    (self.next, self.overhead) = (Next::DataCr, 0);
                }
                return Ok(Some(data));
            }
            let Some((&byte, rest)) = input.split_first() else { return Ok(Some(&[])) };
            *input = rest;
            self.overhead += 1;
            self.next = match (self.next, byte) {
                (Next::LastLf, b'\n') => return Ok(None),
                _ if self.overhead > MAX_OVERHEAD => return Err(Malformed),
                (Next::Size, _) => Next::Digits(digit(byte).ok_or(Malformed)?),
                (Next::Digits(size) | Next::Extension(size), b'\r') => Next::SizeLf(size),
                // Some servers fill the size up to a fixed width.
                (Next::Digits(size), b';' | b' ' | b'\t') | (Next::Extension(size), _) => Next::Extension(size),
                (Next::Digits(size), _) => {
                    let more = digit(byte).ok_or(Malformed)?;
                    Next::Digits(size.checked_mul(16).ok_or(Malformed)? + more)
                }
                (Next::SizeLf(0) | Next::TrailerLf, b'\n') => Next::Trailer,
                (Next::SizeLf(size), b'\n') => Next::Data(size),
                (Next::DataCr, b'\r') => Next::DataLf,
                (Next::DataLf, b'\n') => Next::Size,
                (Next::Trailer, b'\r') => Next::LastLf,
                (Next::TrailerLine, b'\r') => Next::TrailerLf,
                (Next::Trailer | Next::TrailerLine, _) => Next::TrailerLine,
                (Next::SizeLf(_) | Next::DataCr | Next::DataLf | Next::TrailerLf | Next::LastLf | Next::Data(_), _) => {
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

    /// The data of a body that arrives in packets of this size, whether it has ended, and what was left behind it.
    fn read(mut framing: Framing, wire: &[u8], size: usize) -> Result<(String, bool, usize), Malformed> {
        let (mut data, mut behind) = (Vec::new(), 0);
        for packet in wire.chunks(size) {
            let mut rest = packet;
            while let Some(part) = framing.take(&mut rest)? {
                data.extend_from_slice(part);
            }
            behind += rest.len();
        }
        Ok((String::from_utf8(data).unwrap(), framing.has_ended(), behind))
    }

    #[test]
    fn chunks_are_read_however_the_packets_are_torn() {
        let wire = b"4\r\nWiki\r\nA ;a=\"b\"\r\npedia in\r\n\r\n000c\r\n chunks.0\r\n\r\r\n0\r\nx: y\r\nz:\r\n\r\nHTTP";
        for size in 1..=wire.len() {
            let read = read(Framing::chunked(), wire, size);
            assert_eq!(read, Ok(("Wikipedia in\r\n chunks.0\r\n\r".to_owned(), true, 4)), "in packets of {size}");
        }
    }

    #[test]
    fn a_length_counts_and_what_follows_is_not_touched() {
        for size in 1..9 {
            assert_eq!(read(Framing::Length(5), b"helloHTTP", size), Ok(("hello".to_owned(), true, 4)));
        }
        assert_eq!(read(Framing::Length(5), b"hell", 4), Ok(("hell".to_owned(), false, 0)));
        assert_eq!(read(Framing::Length(0), b"x", 1), Ok((String::new(), true, 1)));
    }

    #[test]
    fn only_a_body_without_another_end_may_end_with_the_connection() {
        let mut open = Framing::UntilClose;
        assert_eq!((open.close(), open.has_ended()), (Ok(()), true));
        assert_eq!(Framing::Length(1).close(), Err(Malformed));
        assert_eq!(Framing::chunked().close(), Err(Malformed));
        assert_eq!(Framing::Length(0).close(), Ok(()));
    }

    #[test]
    fn what_is_no_chunk_is_refused() {
        let endless = [b"1;".as_slice(), &vec![b'x'; MAX_OVERHEAD as usize]].concat();
        let trailers = [b"0\r\n".as_slice(), &b"a:b\r\n".repeat(20_000)].concat();
        let wires: [&[u8]; 9] = [
            b"x\r\n",
            b"\r\n",
            b"-1\r\n",
            b"1\nx",
            b"1\r\nxy",
            b"1\r\nx\n",
            b"11111111111111111\r\n",
            &endless,
            &trailers,
        ];
        for wire in wires {
            assert_eq!(read(Framing::chunked(), wire, 7), Err(Malformed), "{}", String::from_utf8_lossy(wire));
        }
    }
}
