//! A Triptych process under test, with its own directory, free ports, and a clean environment.

#![expect(clippy::unwrap_used, reason = "a failure of a helper is a failure of the test")]

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc::{Receiver, channel},
    time::Duration,
};

use tonic::transport::{Channel, Endpoint};

/// Longest wait for anything that must happen. Far more than a busy machine needs, so reaching it is a failure.
const TIMEOUT: Duration = Duration::from_mins(1);

/// Returns a command that runs Triptych in this directory with these environment variables and no others.
pub(crate) fn command(dir: &Path, environment: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_triptych"));
    command.env_clear().envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
    command.env("TRIPTYCH_REST_LISTEN", "127.0.0.1:0").env("TRIPTYCH_GRPC_LISTEN", "127.0.0.1:0");
    command.env("TRIPTYCH_DATA_DIR", "data").envs(environment.iter().copied()).current_dir(dir);
    command
}

/// A running Triptych process. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct TriptychProcess {
    child: Child,
    log: Receiver<String>,
    pub(crate) banner: String,
    pub(crate) rest: Option<SocketAddr>,
    pub(crate) grpc: Option<SocketAddr>,
    pub(crate) admin: Option<SocketAddr>,
}

impl TriptychProcess {
    /// Starts core and gateway in one process, and reads the banner.
    pub(crate) fn start(dir: &Path, environment: &[(&str, &str)]) -> Self {
        Self::start_as(&[], dir, environment)
    }

    /// Starts the process in this role, such as `["core"]`, and reads the banner.
    pub(crate) fn start_as(role: &[&str], dir: &Path, environment: &[(&str, &str)]) -> Self {
        let mut command = command(dir, environment);
        command.args(role);
        Self::spawn(command)
    }

    /// Starts the process so that a write beyond the limit of [`limit_file_size`](Self::limit_file_size) fails instead of killing
    /// it with SIGXFSZ.
    #[cfg(target_os = "linux")]
    pub(crate) fn start_without_file_size_signal(dir: &Path, environment: &[(&str, &str)]) -> Self {
        let mut shell = Command::new("sh");
        // Ignored signals stay ignored in the program that replaces the shell.
        shell.args(["-c", "trap '' XFSZ; exec \"$0\"", env!("CARGO_BIN_EXE_triptych")]).current_dir(dir).env_clear();
        let template = command(dir, environment);
        shell.envs(template.get_envs().filter_map(|(name, value)| Some((name, value?))));
        Self::spawn(shell)
    }

    fn spawn(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let errors = BufReader::new(child.stderr.take().unwrap());
        let (lines, log) = channel();
        std::thread::spawn(move || {
            for line in errors.lines().map_while(Result::ok) {
                // The test runner shows this output if the test fails.
                eprintln!("{line}");
                let _ = lines.send(line);
            }
        });
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut banner = String::new();
        while !banner.contains("Settings: ") {
            assert_ne!(
                output.read_line(&mut banner).unwrap(),
                0,
                "the process exited before its banner was complete: {banner}"
            );
        }
        let address = |label: &str| {
            let line = banner.lines().find_map(|line| line.trim().strip_prefix(label))?;
            let url = line.split_whitespace().next()?;
            let address = url.trim_start_matches("http://").trim_start_matches("https://").trim_end_matches("/v1");
            // A Unix socket has none.
            address.parse().ok()
        };
        let (rest, grpc, admin) = (address("REST"), address("gRPC"), address("admin"));
        Self { child, log, banner, rest, grpc, admin }
    }

    pub(crate) async fn channel(&self) -> Channel {
        Endpoint::from_shared(format!("http://{}", self.grpc.unwrap())).unwrap().connect().await.unwrap()
    }

    /// Sends a REST request, and returns the connection to read the response from.
    pub(crate) fn send_request(&self, method: &str, path: &str, body: &str) -> TcpStream {
        let address = self.rest.unwrap();
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(TIMEOUT)).unwrap();
        let length = body.len();
        let head = format!("{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n");
        write!(stream, "{head}Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}").unwrap();
        stream
    }

    pub(crate) fn get(&self, path: &str) -> String {
        read_to_end(self.send_request("GET", path, ""))
    }

    /// Sends a request without a body, and returns the whole response.
    #[cfg(target_os = "linux")]
    pub(crate) fn send_and_read_bytes(&self, method: &str, path: &str) -> Vec<u8> {
        let mut response = Vec::new();
        self.send_request(method, path, "").read_to_end(&mut response).unwrap();
        response
    }

    pub(crate) fn post(&self, path: &str, body: &str) -> String {
        read_to_end(self.send_request("POST", path, body))
    }

    /// Returns the resident memory of the process in bytes: now and at its peak.
    #[cfg(target_os = "linux")]
    pub(crate) fn memory(&self) -> (u64, u64) {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let read = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
        };
        (read("VmRSS:"), read("VmHWM:"))
    }

    /// Limits the memory that the process can allocate, in bytes. It aborts if it needs more.
    #[cfg(target_os = "linux")]
    pub(crate) fn limit_memory(&self, bytes: u64) {
        let (pid, limit) = (self.child.id().to_string(), format!("--data={bytes}"));
        assert!(Command::new("prlimit").args(["--pid", &pid, &limit]).status().unwrap().success());
    }

    /// Limits the size of the files that the process can write, in bytes or `unlimited`. Existing larger files can be read.
    #[cfg(target_os = "linux")]
    pub(crate) fn limit_file_size(&self, limit: &str) {
        let (pid, limit) = (self.child.id().to_string(), format!("--fsize={limit}:unlimited"));
        assert!(Command::new("prlimit").args(["--pid", &pid, &limit]).status().unwrap().success());
    }

    /// Sends a signal, such as `TERM`.
    pub(crate) fn signal(&self, name: &str) {
        let line = format!("kill -{name} {}", self.child.id());
        assert!(Command::new("sh").args(["-c", &line]).status().unwrap().success());
    }

    /// Kills the process with SIGKILL.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Reads the log until a line contains `text`.
    pub(crate) fn wait_for_log(&self, text: &str) {
        while !self.log.recv_timeout(TIMEOUT).unwrap_or_else(|_| panic!("`{text}` was not logged")).contains(text) {}
    }

    /// Waits until the process exits by itself.
    pub(crate) fn wait_for_exit(&mut self) -> ExitStatus {
        // The log ends when the process exits.
        while self.log.recv_timeout(TIMEOUT).is_ok() {}
        self.child.wait().unwrap()
    }
}

impl Drop for TriptychProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn read_to_end(mut stream: TcpStream) -> String {
    let mut response = String::new();
    stream.read_to_string(&mut response).unwrap();
    response
}

/// Waits until a process exits whose output is not read.
#[cfg(unix)]
pub(crate) fn wait_for_exit_of(child: &mut Child) -> ExitStatus {
    let give_up = std::time::Instant::now() + TIMEOUT;
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        if std::time::Instant::now() > give_up {
            child.kill().unwrap();
            panic!("the process did not exit");
        }
        std::thread::yield_now();
    }
}
