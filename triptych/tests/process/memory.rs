//! Memory of the processes while a large file is downloaded, which must not be buffered.

#![expect(clippy::unwrap_used, reason = "a failure of a helper is a failure of the test")]

use std::{fs::File, io::Read as _, path::Path};

use tempfile::tempdir;

use crate::triptych_process::TriptychProcess;

const FILE_BYTES: u64 = 1 << 30;

/// How much the peak memory of a process may grow for buffers, in bytes.
const MAX_GROWTH: u64 = 32 << 20;

/// Creates a sparse file, which takes no space on the disk.
fn create_large_file(dir: &Path) {
    File::create(dir.join("data/media/long.mp4")).unwrap().set_len(FILE_BYTES).unwrap();
}

/// Downloads the file from `server`, and asserts that the peak memory of the processes hardly grows.
fn assert_memory_is_bounded(server: &TriptychProcess, others: &[&TriptychProcess]) {
    let all: Vec<_> = [server].iter().chain(others).map(|process| (*process, process.memory().0)).collect();
    let mut download = server.send_request("GET", "/media/long.mp4", "");
    let (mut length, mut buffer) = (0, vec![0; 1 << 16]);
    loop {
        match download.read(&mut buffer).unwrap() {
            0 => break,
            read => length += read as u64,
        }
    }
    assert!((FILE_BYTES + 1..FILE_BYTES + 4096).contains(&length), "{length} bytes including the response head");
    for (process, before) in all {
        let (_, peak) = process.memory();
        assert!(peak < before + MAX_GROWTH, "{} MiB before, peak {} MiB: {}", before >> 20, peak >> 20, process.banner);
    }
}

#[test]
fn download_of_a_gigabyte_takes_constant_memory() {
    let dir = tempdir().unwrap();
    let server = TriptychProcess::start(dir.path(), &[]);
    create_large_file(dir.path());
    assert_memory_is_bounded(&server, &[]);
}

#[test]
fn download_through_separate_gateway_and_core_takes_constant_memory() {
    let (core_dir, gateway_dir) = (tempdir().unwrap(), tempdir().unwrap());
    let core = TriptychProcess::start_as(&["core"], core_dir.path(), &[]);
    let address = format!("http://{}", core.grpc.unwrap());
    let gateway = TriptychProcess::start_as(&["gateway", "--core", &address], gateway_dir.path(), &[]);
    create_large_file(core_dir.path());
    assert_memory_is_bounded(&gateway, &[&core]);
}
