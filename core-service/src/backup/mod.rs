//! Copies of a data directory: [`create()`] makes one, also while a process uses the directory, and
//! [`restore()`] makes a data directory of it.
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
mod layout;
mod manifest;
mod media_index;
mod restore;
mod unsent;

pub(crate) use self::layout::manifest_path;
pub use self::{
    create::create,
    error::BackupError,
    files::Method,
    manifest::{DatabaseFile, Manifest, MediaFiles},
    restore::{Restored, restore},
    unsent::{QueuedJobs, Unsent},
};

#[cfg(test)]
mod tests;
