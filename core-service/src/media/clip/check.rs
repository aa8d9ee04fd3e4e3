//! A check of MP4 files before they are parsed, because the parser allocates memory for all samples that a file claims, without a
//! limit. An MP4 file consists of boxes, each with its size and a name of four letters; a sample is one encoded frame.

use std::io::{Read, Seek, SeekFrom};

use super::reader::StoredFile;

/// The most bytes of the boxes that describe the samples, `moov` and `moof`.
const MAX_HEADER_BYTES: u64 = 32 << 20;

/// The most samples of one table: an hour at 120 frames a second.
const MAX_SAMPLES: u32 = 432_000;

/// The boxes with a number of samples, and the offset of that number from the name: the table of sample sizes, and the samples of a
/// fragment.
const COUNTED: [(&[u8; 4], usize); 2] = [(b"stsz", 12), (b"trun", 8)];

/// Fails if the file claims more samples, or longer descriptions of them, than any real video has. Leaves the file at its start.
pub(super) fn sample_counts(file: &mut StoredFile) -> Result<(), String> {
    let unreadable = |error: std::io::Error| error.to_string();
    let (mut position, mut header_bytes) = (0, 0);
    while position < file.size() {
        file.seek(SeekFrom::Start(position)).map_err(unreadable)?;
        let (size, name) = read_box_header(file)?;
        if matches!(&name, b"moov" | b"moof") {
            header_bytes += size;
            if header_bytes > MAX_HEADER_BYTES {
                return Err("its header is too long".to_owned());
            }
            let mut content = Vec::new();
            file.take(size).read_to_end(&mut content).map_err(unreadable)?;
            check_tables(&content)?;
        }
        position = position.checked_add(size).ok_or("a box is too long")?;
    }
    file.seek(SeekFrom::Start(0)).map_err(unreadable)?;
    Ok(())
}

/// Reads the size and the name of a box, leaving the file behind them. A size of zero means the rest of the file.
fn read_box_header(file: &mut StoredFile) -> Result<(u64, [u8; 4]), String> {
    let mut header = [0; 8];
    let mut extended = [0; 8];
    let start = file.stream_position().map_err(|error| error.to_string())?;
    file.read_exact(&mut header).map_err(|error| error.to_string())?;
    let [a, b, c, d, name @ ..] = header;
    let size = match u32::from_be_bytes([a, b, c, d]) {
        0 => file.size() - start,
        1 => {
            file.read_exact(&mut extended).map_err(|error| error.to_string())?;
            u64::from_be_bytes(extended)
        }
        size => size.into(),
    };
    if size < 8 { Err("a box is too short".to_owned()) } else { Ok((size, name)) }
}

/// Checks every place that looks like a table. A false match, in a place where other data has these letters, refuses a valid
/// file at worst.
fn check_tables(content: &[u8]) -> Result<(), String> {
    for (name, offset) in COUNTED {
        for at in positions(content, name) {
            let count = content.get(at + offset..at + offset + 4).and_then(|bytes| bytes.try_into().ok());
            if count.is_some_and(|count| u32::from_be_bytes(count) > MAX_SAMPLES) {
                return Err("it claims too many samples".to_owned());
            }
        }
    }
    Ok(())
}

/// Returns every position of a name.
fn positions<'a>(content: &'a [u8], name: &'a [u8; 4]) -> impl Iterator<Item = usize> + 'a {
    content.windows(name.len()).enumerate().filter(move |(_, window)| *window == name).map(|(at, _)| at)
}
