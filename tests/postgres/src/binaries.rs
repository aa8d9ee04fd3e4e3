//! The installed binaries of PostgreSQL.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

/// Where Debian installs the binaries of each version, which are not in `PATH`.
const DEBIAN: &str = "/usr/lib/postgresql";

/// Returns a directory that has `initdb` and `postgres`: one of `PATH`, or that of the newest version of Debian.
pub(crate) fn directory() -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).find(|directory| has_server(directory)).or_else(|| {
        let versions = fs::read_dir(DEBIAN).ok()?.flatten();
        let directories = versions.map(|version| version.path().join("bin")).filter(|directory| has_server(directory));
        directories.max_by_key(|directory| {
            let version = directory.parent().and_then(Path::file_name).and_then(|name| name.to_str());
            version.and_then(|version| version.parse::<u32>().ok())
        })
    })
}

fn has_server(directory: &Path) -> bool {
    ["initdb", "postgres"].iter().all(|binary| directory.join(binary).is_file())
}
