//! Copies of a data directory: [`create`] makes one, also while a process uses the directory, and [`restore`] makes a data directory
//! of it.
//!
//! | file of a backup | contents |
//! | --- | --- |
//! | `backup.json` | the [`Manifest`]; written last |
//! | `jobs.sqlite` | the database at one moment, without a write-ahead log |
//! | `media/KEY` | the media files that this database names |
//!
//! The database is copied before the files. A job is completed only after its files are stored, so every job that is completed in the
//! copy has its files, unless they were removed meanwhile.

mod create;
mod error;
mod files;
mod manifest;
mod media_index;
mod restore;
mod unsent;

use std::path::{Path, PathBuf};

pub use self::{
    create::create,
    error::BackupError,
    files::Method,
    manifest::{DatabaseFile, Manifest, MediaFiles},
    restore::{Restored, restore},
    unsent::{QueuedJobs, Unsent},
};

/// The name of the database in a data directory and in a backup.
const DATABASE: &str = "jobs.sqlite";
/// The name of the directory of media files in a data directory and in a backup.
const MEDIA: &str = "media";

/// Returns the manifest of a backup. A data directory has this file only while a backup is restored into it.
pub(crate) fn manifest_path(directory: &Path) -> PathBuf {
    directory.join("backup.json")
}

#[cfg(test)]
mod tests;
