//! Reads UTF-8 text files, with or without a byte order mark.

use std::{fmt, io, path::Path};

/// Why a file cannot be read as text.
#[derive(Debug)]
pub(super) enum TextError {
    /// The file cannot be read.
    Io(io::Error),
    /// The file is not UTF-8.
    Encoding,
}

impl TextError {
    /// Returns whether the file does not exist.
    pub(super) fn is_not_found(&self) -> bool {
        matches!(self, Self::Io(error) if error.kind() == io::ErrorKind::NotFound)
    }
}

impl fmt::Display for TextError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => error.fmt(f),
            Self::Encoding => f.write_str("must be UTF-8; save the file in that encoding"),
        }
    }
}

/// Reads a UTF-8 file, without the byte order mark that some editors write at its start.
pub(super) fn read(path: &Path) -> Result<String, TextError> {
    let text = String::from_utf8(std::fs::read(path).map_err(TextError::Io)?).map_err(|_| TextError::Encoding)?;
    Ok(match text.strip_prefix('\u{feff}') {
        Some(rest) => rest.to_owned(),
        None => text,
    })
}
