//! Detection of a database file that was removed or replaced while it is open.

use std::{
    io,
    path::{Path, PathBuf},
};

use crate::write_probe::probe_writable;

/// The path and the identity of an open file.
#[derive(Debug)]
pub(super) struct OpenFile {
    path: PathBuf,
    identity: Identity,
}

/// Device and inode.
#[cfg(unix)]
type Identity = (u64, u64);

/// Files have no identity that the standard library exposes; only removal is detected.
#[cfg(not(unix))]
type Identity = ();

impl OpenFile {
    /// Remembers the file at this path, which must exist.
    pub(super) async fn at(path: &Path) -> io::Result<Self> {
        Ok(Self { path: path.to_owned(), identity: identity(path).await? })
    }

    /// Returns an error if another file, or none, is at the path now.
    pub(super) async fn check(&self) -> io::Result<()> {
        match identity(&self.path).await {
            Ok(identity) if identity == self.identity => Ok(()),
            Ok(_) => Err(self.removed()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(self.removed()),
            Err(error) => Err(error),
        }
    }

    /// Returns an error if no file can be written beside this one.
    pub(super) async fn probe_writable(&self) -> io::Result<()> {
        probe_writable(self.path.parent().unwrap_or(Path::new("."))).await
    }

    fn removed(&self) -> io::Error {
        let path = self.path.display();
        io::Error::new(io::ErrorKind::NotFound, format!("{path} was removed or replaced; restart the process"))
    }
}

async fn identity(path: &Path) -> io::Result<Identity> {
    let metadata = tokio::fs::metadata(path).await?;
    #[cfg(unix)]
    return Ok((std::os::unix::fs::MetadataExt::dev(&metadata), std::os::unix::fs::MetadataExt::ino(&metadata)));
    #[cfg(not(unix))]
    return Ok(drop(metadata));
}
