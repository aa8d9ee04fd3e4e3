//! Notices changes of files by polling their metadata. Notifications of the operating system would miss changes on
//! network file systems, and need the directories of every symbolic link on the way to the file.

use std::{
    path::PathBuf,
    time::{Duration, SystemTime},
};

use tokio::time::sleep;

/// The interval between two polls. A change counts once two polls in a row have seen it, because a file may be half written.
const POLL_INTERVAL: Duration = Duration::from_secs(2);

/// The state of the files: of each its modification time, length and identity; `None` for one that does not exist.
type State = Vec<Option<(SystemTime, u64, Identity)>>;

/// What distinguishes a file from the one that had its name before. Follows symbolic links: Kubernetes replaces a link when a
/// `ConfigMap` changes.
type Identity = (u64, u64);

/// A watch over files. It ignores files that disappear, since an editor or a deployment may be replacing them.
#[derive(Debug)]
pub(crate) struct FileWatch {
    paths: Vec<PathBuf>,
    accepted: State,
    /// The state of the last poll, if it differed from `accepted`.
    seen: Option<State>,
}

impl FileWatch {
    /// Starts to watch these files in their present state.
    pub(crate) async fn new(paths: Vec<PathBuf>) -> Self {
        let accepted = state(&paths).await;
        Self { paths, accepted, seen: None }
    }

    /// Watches these files from now on, in their present state if they differ from those that were watched. Must be called before
    /// they are read.
    pub(crate) async fn follow(&mut self, paths: Vec<PathBuf>) {
        if paths != self.paths {
            *self = Self::new(paths).await;
        }
    }

    /// Accepts the present state of the files. Must be called before they are read.
    pub(crate) async fn accept(&mut self) {
        self.accepted = state(&self.paths).await;
        self.seen = None;
    }

    /// Waits for a change that is complete. Can be dropped and called again.
    pub(crate) async fn changed(&mut self) {
        loop {
            sleep(POLL_INTERVAL).await;
            if self.poll().await {
                return;
            }
        }
    }

    /// Looks at the files, and returns whether they have a change that the previous poll has seen in the same state.
    async fn poll(&mut self) -> bool {
        let now = state(&self.paths).await;
        let is_changed = now.iter().zip(&self.accepted).any(|(now, accepted)| now.is_some() && now != accepted);
        let is_complete = is_changed && self.seen.as_ref() == Some(&now);
        self.seen = is_changed.then_some(now);
        is_complete
    }
}

async fn state(paths: &[PathBuf]) -> State {
    let mut state = Vec::with_capacity(paths.len());
    for path in paths {
        let metadata = tokio::fs::metadata(path).await.ok();
        state
            .push(metadata.and_then(|metadata| Some((metadata.modified().ok()?, metadata.len(), identity(&metadata)))));
    }
    state
}

#[cfg(unix)]
fn identity(metadata: &std::fs::Metadata) -> Identity {
    use std::os::unix::fs::MetadataExt as _;
    (metadata.dev(), metadata.ino())
}

#[cfg(not(unix))]
fn identity(_: &std::fs::Metadata) -> Identity {
    (0, 0)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// Returns what two polls report.
    async fn two_polls(watch: &mut FileWatch) -> [bool; 2] {
        [watch.poll().await, watch.poll().await]
    }

    #[tokio::test]
    async fn change_is_reported_by_the_second_poll_that_sees_it_and_a_removal_never() {
        let dir = tempfile::tempdir().unwrap();
        let (file, missing) = (dir.path().join("a.toml"), dir.path().join("missing"));
        fs::write(&file, "a = 1").unwrap();
        let mut watch = FileWatch::new(vec![file.clone(), missing.clone()]).await;
        assert_eq!(two_polls(&mut watch).await, [false, false]);
        fs::write(&file, "a = ").unwrap();
        assert!(!watch.poll().await);
        // The second half of the file.
        fs::write(&file, "a = 123").unwrap();
        assert_eq!(two_polls(&mut watch).await, [false, true]);
        watch.accept().await;
        assert_eq!(two_polls(&mut watch).await, [false, false]);
        fs::remove_file(&file).unwrap();
        assert_eq!(two_polls(&mut watch).await, [false, false]);
        fs::write(&missing, "").unwrap();
        assert_eq!(two_polls(&mut watch).await, [false, true]);
    }

    /// A `ConfigMap` volume: the file is a link into `..data`, itself a link to a directory, and the latter link is replaced.
    #[cfg(unix)]
    #[tokio::test]
    async fn replaced_link_of_a_config_map_is_reported() {
        use std::os::unix::fs::symlink;
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        for version in ["v1", "v2"] {
            fs::create_dir(path(version)).unwrap();
            fs::write(path(version).join("triptych.toml"), "same length").unwrap();
        }
        symlink("v1", path("..data")).unwrap();
        symlink("..data/triptych.toml", path("triptych.toml")).unwrap();
        let mut watch = FileWatch::new(vec![path("triptych.toml")]).await;
        symlink("v2", path("..data_tmp")).unwrap();
        fs::rename(path("..data_tmp"), path("..data")).unwrap();
        assert_eq!(two_polls(&mut watch).await, [false, true]);
    }
}
