//! A process under test: its own directory, free ports, nothing inherited.

#![expect(clippy::unwrap_used, reason = "a test's tool may fail as the test would")]

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc::{Receiver, channel},
    time::Duration,
};

use tonic::transport::{Channel, Endpoint};

/// Longer than anything here takes on a busy machine; a test that waits this long has failed.
const PATIENCE: Duration = Duration::from_mins(1);

/// The executable in this directory, with these variables and no others of ours.
pub(crate) fn command(dir: &Path, environment: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_triptych"));
    command.env_clear().envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
    command.env("TRIPTYCH_REST_LISTEN", "127.0.0.1:0").env("TRIPTYCH_GRPC_LISTEN", "127.0.0.1:0");
    command.env("TRIPTYCH_DATA_DIR", "data").envs(environment.iter().copied()).current_dir(dir);
    command
}

/// A started process. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    log: Receiver<String>,
    pub(crate) banner: String,
    pub(crate) rest: Option<SocketAddr>,
    pub(crate) grpc: Option<SocketAddr>,
}

impl Running {
    /// Starts it and reads its banner to the end.
    pub(crate) fn start(dir: &Path, environment: &[(&str, &str)]) -> Self {
        Self::start_as(&[], dir, environment)
    }

    /// Starts it in a role of its own.
    pub(crate) fn start_as(role: &[&str], dir: &Path, environment: &[(&str, &str)]) -> Self {
        let mut child =
            command(dir, environment).args(role).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let errors = BufReader::new(child.stderr.take().unwrap());
        let (lines, log) = channel();
        std::thread::spawn(move || {
            for line in errors.lines().map_while(Result::ok) {
                // Shown by the test runner when the test fails.
                eprintln!("{line}");
                let _ = lines.send(line);
            }
        });
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut banner = String::new();
        while !banner.contains("Settings: ") {
            assert_ne!(output.read_line(&mut banner).unwrap(), 0, "it ended before it told where it listens: {banner}");
        }
        let told = |label: &str| {
            let line = banner.lines().find_map(|line| line.trim().strip_prefix(label))?.trim();
            Some(line.trim_start_matches("http://").trim_end_matches("/v1").parse().unwrap())
        };
        let (rest, grpc) = (told("REST"), told("gRPC"));
        Self { child, log, banner, rest, grpc }
    }

    pub(crate) async fn channel(&self) -> Channel {
        Endpoint::from_shared(format!("http://{}", self.grpc.unwrap())).unwrap().connect().await.unwrap()
    }

    /// Sends a request and leaves the answer to be read.
    pub(crate) fn begin(&self, method: &str, path: &str, body: &str) -> TcpStream {
        let address = self.rest.unwrap();
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let length = body.len();
        let head = format!("{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n");
        write!(stream, "{head}Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}").unwrap();
        stream
    }

    pub(crate) fn get(&self, path: &str) -> String {
        whole(self.begin("GET", path, ""))
    }

    pub(crate) fn post(&self, path: &str, body: &str) -> String {
        whole(self.begin("POST", path, body))
    }

    /// What it has in memory, in bytes: now and at most.
    #[cfg(target_os = "linux")]
    pub(crate) fn memory(&self) -> (u64, u64) {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let read = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
        };
        (read("VmRSS:"), read("VmHWM:"))
    }

    /// `TERM`, `INT`.
    pub(crate) fn signal(&self, name: &str) {
        let line = format!("kill -{name} {}", self.child.id());
        assert!(Command::new("sh").args(["-c", &line]).status().unwrap().success());
    }

    /// Ends it the way a power cut would.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Reads the log until a line holds `text`.
    pub(crate) fn wait_for(&self, text: &str) {
        while !self.log.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("`{text}` was not logged")).contains(text) {}
    }

    /// Waits for it to end by itself.
    pub(crate) fn ended(&mut self) -> ExitStatus {
        // Its log ends when it does.
        while self.log.recv_timeout(PATIENCE).is_ok() {}
        self.child.wait().unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn whole(mut stream: TcpStream) -> String {
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}
