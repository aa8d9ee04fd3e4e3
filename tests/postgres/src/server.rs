//! A PostgreSQL server in a temporary directory.

use std::{
    io::{BufRead as _, BufReader},
    os::unix::{
        fs::{MetadataExt as _, chown},
        process::CommandExt as _,
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use crate::binaries;

/// Initializes and runs a server: `$1` has the binaries, `$2` is its directory. Ends when stdin is closed. The default collation is
/// linguistic (ICU) if the binaries support it, so that tests fail for a text column without `COLLATE "C"`, whose order would then differ.
const SUPERVISE: &str = r#"
set -e
cd "$2"
init() { "$1/initdb" -D data -U triptych -A trust -E UTF8 --locale=C --no-sync --no-instructions $3 >initdb.log 2>&1; }
init "$1" "$2" "--locale-provider=icu --icu-locale=und" || { rm -rf data; init "$1" "$2" "" || { cat initdb.log >&2; exit 1; } }
"$1/postgres" -D data -k "$2" -c listen_addresses= -c fsync=off -c full_page_writes=off -c max_connections=300 \
    -c wal_level=minimal -c max_wal_senders=0 -c min_wal_size=32MB -c max_wal_size=64MB -c lc_messages=C </dev/null &
server=$!
cat >/dev/null
kill -QUIT $server || true
wait $server || true
cd /
rm -rf "$2"
"#;

/// The text in the log of a server that accepts connections.
const READY: &str = "ready to accept connections";

/// A running server.
#[derive(Debug)]
pub(crate) struct Server {
    directory: PathBuf,
    // Its stdin is open as long as this process runs.
    _supervisor: Child,
}

impl Server {
    /// Starts a server and waits until it accepts connections. `None` if the binaries are missing.
    pub(crate) fn start() -> Option<Self> {
        let binaries = binaries::directory()?;
        // Short: the path of a Unix socket has at most 107 bytes.
        let directory = tempfile::Builder::new().prefix("triptych-pg-").tempdir_in("/tmp").map(tempfile::TempDir::keep);
        let directory = directory.unwrap_or_else(|error| panic!("the directory of the server: {error}"));
        let mut supervisor = command(&directory)
            .args(["sh", "-c", SUPERVISE, "sh"])
            .args([&binaries, &directory])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            // Ctrl-C in the terminal must not reach the server.
            .process_group(0)
            .spawn()
            .unwrap_or_else(|error| panic!("the supervisor of the server cannot be started: {error}"));
        let mut log = String::new();
        let lines = supervisor.stderr.take().map(|stderr| BufReader::new(stderr).lines());
        let mut lines = lines.into_iter().flatten().map_while(Result::ok);
        let is_ready = lines.by_ref().any(|line| {
            log.push_str(&line);
            log.push('\n');
            line.contains(READY)
        });
        assert!(is_ready, "the server of PostgreSQL did not start:\n{log}");
        // A full pipe would stop the server.
        std::thread::spawn(move || lines.for_each(drop));
        Some(Self { directory, _supervisor: supervisor })
    }

    /// Returns the URL of a database.
    pub(crate) fn url(&self, database: &str) -> String {
        let directory = self.directory.display().to_string().replace('/', "%2F");
        format!("postgres://triptych@{directory}/{database}")
    }
}

/// Returns a command that runs the program in its arguments as the owner of the directory. PostgreSQL refuses to run as root: if
/// root runs the tests, the owner becomes the user `nobody`.
fn command(directory: &Path) -> Command {
    let metadata = std::fs::metadata(directory).unwrap_or_else(|error| panic!("the directory of the server: {error}"));
    if metadata.uid() != 0 {
        return Command::new("env");
    }
    let (user, group) = (id("-u"), id("-g"));
    chown(directory, Some(user), Some(group)).unwrap_or_else(|error| panic!("the owner of the server: {error}"));
    let mut command = Command::new("setpriv");
    command.args([&format!("--reuid={user}"), &format!("--regid={group}"), "--clear-groups"]);
    command
}

fn id(option: &str) -> u32 {
    let output = Command::new("id").args([option, "nobody"]).output();
    let output = output.unwrap_or_else(|error| panic!("id {option} nobody: {error}"));
    let text = String::from_utf8_lossy(&output.stdout);
    text.trim().parse().unwrap_or_else(|_| panic!("id {option} nobody: {text:?}"))
}
