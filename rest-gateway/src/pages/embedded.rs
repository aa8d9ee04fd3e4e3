//! The embedded files. The build script generates their table from the directory `pages/`: `FILES`, in the order of the names, and
//! `DIGEST`, the digest of all files.

use std::io::{self, Read as _};

use flate2::read::GzDecoder;

include!(concat!(env!("OUT_DIR"), "/pages.rs"));

/// An embedded file.
#[derive(Debug)]
pub(super) struct File {
    /// The path below `pages/`.
    name: &'static str,
    /// The value of `Content-Type`.
    pub(super) media_type: &'static str,
    /// The length of the content in bytes.
    length: usize,
    /// The content, compressed.
    pub(super) gzip: &'static [u8],
}

impl File {
    /// Returns whether the file is a page, which has a path of its own.
    pub(super) fn is_page(&self) -> bool {
        !self.name.contains('/')
    }

    /// Returns the content.
    ///
    /// # Errors
    /// If the compressed data is corrupt.
    pub(super) fn decompress(&self) -> io::Result<Vec<u8>> {
        let mut content = Vec::with_capacity(self.length);
        GzDecoder::new(self.gzip).read_to_end(&mut content)?;
        Ok(content)
    }
}

/// Returns the file with this path below `pages/`.
pub(super) fn find(name: &str) -> Option<&'static File> {
    let index = FILES.binary_search_by(|file| file.name.cmp(name)).ok()?;
    FILES.get(index)
}
