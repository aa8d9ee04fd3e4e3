//! The manifest of a backup, `backup.json`.

use std::{fs, io::ErrorKind, path::Path};

use serde::{Deserialize, Serialize};

use super::{error::BackupError, layout::manifest_path};

/// The version of the format of a backup. Later ones are refused.
const FORMAT: u32 = 1;

/// The contents of a backup. A restore checks by them that the backup is complete.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The version of the format of the backup.
    pub format: u32,
    /// The version of Triptych that made the backup.
    pub triptych_version: String,
    /// When the copy of the database began, in RFC 3339.
    pub created_at: String,
    /// The database.
    pub database: DatabaseFile,
    /// The number of video jobs.
    pub jobs: u64,
    /// The media files.
    pub media: MediaFiles,
}

/// The copy of the database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatabaseFile {
    /// Its length.
    pub bytes: u64,
    /// Its SHA-256 digest, in hexadecimal digits.
    pub sha256: String,
}

/// The copied media files, and those that could not be copied.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MediaFiles {
    /// The number of copied files.
    pub files: u64,
    /// Their total length.
    pub bytes: u64,
    /// How many of them are hard links to the files of the data directory.
    pub linked: u64,
    /// How many files were deleted or expired while the backup was made. Their jobs are in the backup.
    pub removed_meanwhile: u64,
    /// The keys of files that should exist in the data directory and do not.
    pub missing: Vec<String>,
}

impl Manifest {
    /// Returns the manifest of a backup that this version makes.
    pub(super) fn new(created_at: String, database: DatabaseFile, jobs: u64, media: MediaFiles) -> Self {
        let triptych_version = env!("CARGO_PKG_VERSION").to_owned();
        Self { format: FORMAT, triptych_version, created_at, database, jobs, media }
    }

    /// Reads the manifest of a backup.
    ///
    /// # Errors
    /// There is none, or a later version of Triptych wrote it.
    pub fn read(backup: &Path) -> Result<Self, BackupError> {
        #[derive(Deserialize)]
        struct Format {
            format: u32,
        }
        let path = manifest_path(backup);
        let text = fs::read_to_string(&path).map_err(|error| {
            if error.kind() == ErrorKind::NotFound {
                BackupError::NoManifest(backup.to_owned())
            } else {
                BackupError::at(&path)(error)
            }
        })?;
        let invalid = |why: String| BackupError::Manifest { path: path.clone(), why };
        let Format { format } = serde_json::from_str(&text).map_err(|error| invalid(error.to_string()))?;
        if format > FORMAT {
            return Err(invalid(format!(
                "the backup has format {format}, and this version of Triptych reads formats up to {FORMAT}; use a later one"
            )));
        }
        serde_json::from_str(&text).map_err(|error| invalid(error.to_string()))
    }

    /// Writes the manifest into a backup, without flushing it.
    pub(super) fn write(&self, backup: &Path) -> Result<(), BackupError> {
        let path = manifest_path(backup);
        let text = serde_json::to_string_pretty(self).map_err(|error| BackupError::at(&path)(error.into()))?;
        fs::write(&path, format!("{text}\n")).map_err(BackupError::at(&path))
    }
}
