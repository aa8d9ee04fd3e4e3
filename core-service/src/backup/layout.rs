//! The names of the files in a data directory and in a backup.

use std::path::{Path, PathBuf};

pub(super) use crate::database::DATABASE_FILE;

/// The directory of media files.
pub(super) const MEDIA: &str = "media";

/// Returns the manifest of a backup. A data directory has this file only while a backup is restored into it.
pub(crate) fn manifest_path(directory: &Path) -> PathBuf {
    directory.join("backup.json")
}
