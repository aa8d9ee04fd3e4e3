//! Whether files can be written into a directory: on a full or read-only disk, reads still succeed.

use std::{io, path::Path};

/// The size of the file that a probe writes. Some file systems store smaller files in their metadata, even on a full disk.
const PROBE_BYTES: usize = 4096;

/// Writes and removes a small file, without flushing it.
///
/// # Errors
/// The disk is full or read-only, or the directory was removed.
pub(crate) async fn probe_writable(directory: &Path) -> io::Result<()> {
    // Not a media key, so no caller can read it.
    let path = directory.join(format!("#probe-{}", std::process::id()));
    let written = tokio::fs::write(&path, [0; PROBE_BYTES]).await;
    let removed = tokio::fs::remove_file(&path).await;
    written.and(removed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn probe_leaves_nothing_and_fails_in_a_directory_that_was_removed() {
        let directory = tempfile::tempdir().unwrap();
        probe_writable(directory.path()).await.unwrap();
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
        assert!(probe_writable(&directory.path().join("removed")).await.is_err());
    }
}
