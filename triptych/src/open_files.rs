//! The operating system's limit of open files of the process, which also bounds its connections.

/// `OPEN_MAX` of macOS, which no limit may exceed there.
#[cfg(unix)]
const MACOS_MAX: u64 = 10_240;

/// Raises the limit of open files as far as the operating system allows: many systems start processes with a limit of 1,024
/// for the sake of old programs, and a connection needs one or two files. A failure leaves the limit as it is.
#[cfg(unix)]
pub(crate) fn raise_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    let limit = getrlimit(Resource::Nofile);
    let set = |current| setrlimit(Resource::Nofile, Rlimit { current, ..limit });
    if set(limit.maximum).is_err() && limit.current.is_some_and(|current| current < MACOS_MAX) {
        // macOS reports no maximum, but refuses more than its OPEN_MAX.
        let _ = set(Some(MACOS_MAX));
    }
}

#[cfg(not(unix))]
pub(crate) fn raise_limit() {}

#[cfg(all(test, unix))]
mod tests {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    #[test]
    fn soft_limit_of_open_files_is_raised_to_the_hard_limit() {
        let limit = getrlimit(Resource::Nofile);
        setrlimit(Resource::Nofile, Rlimit { current: Some(256), ..limit }).unwrap();
        super::raise_limit();
        assert_eq!(getrlimit(Resource::Nofile).current, limit.maximum);
    }
}
