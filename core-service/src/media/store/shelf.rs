//! The media_store's directory, as the sweeper sees it: what lies there, how large, since when unused.

use std::{
    fs, io,
    path::Path,
    time::{Duration, SystemTime},
};

use super::MediaKey;

/// A half-written file that nobody touched for this long was left by a process that died.
pub(super) const ABANDONED: Duration = Duration::from_hours(24);

/// A medium, as the sweeper weighs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Its key.
    pub key: MediaKey,
    /// Its length in bytes.
    pub size: u64,
    /// When it was last used, as far as its file tells.
    pub used: SystemTime,
}

/// All media, and on the way the removal of what killed processes left half written: the store writes `key#1` and
/// renames it to `key`. Other files in the directory are none of ours.
pub(super) fn survey(directory: &Path, now: SystemTime) -> io::Result<Vec<Stored>> {
    let mut stored = Vec::new();
    for file in fs::read_dir(directory)? {
        let file = file?;
        let name = file.file_name();
        let name = name.to_string_lossy();
        // Gone meanwhile: another process may share the directory.
        let Ok(meta) = file.metadata() else { continue };
        let Ok(used) = meta.modified() else { continue };
        if let Some(key) = MediaKey::parse(&name) {
            stored.push(Stored { key, size: meta.len(), used });
        } else if is_half(&name) && now.duration_since(used).is_ok_and(|idle| idle > ABANDONED) {
            drop(fs::remove_file(file.path()));
        }
    }
    Ok(stored)
}

/// Removes the file unless it was used after it was weighed.
pub(super) fn remove(directory: &Path, weighed: &Stored) -> io::Result<bool> {
    let path = directory.join(weighed.key.as_str());
    match fs::metadata(&path).and_then(|meta| meta.modified()) {
        Ok(used) if used == weighed.used => fs::remove_file(&path).map(|()| true),
        Ok(_) => Ok(false),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

fn is_half(name: &str) -> bool {
    let (key, number) = name.split_once('#').unwrap_or_default();
    MediaKey::parse(key).is_some() && number.bytes().all(|byte| byte.is_ascii_digit())
}
