//! What passes through leaves nothing behind: the memory of the processes themselves, with nobody else in them.

#![expect(clippy::unwrap_used, reason = "helpers of tests may fail as the tests would")]

use std::{fs::File, io::Read as _, path::Path};

use tempfile::tempdir;

use crate::running::Running;

const SIZE: u64 = 1 << 30;

/// What a few buffers on the way may take.
const ROOM: u64 = 32 << 20;

/// As long as any clip, and nothing on the disk: a hole.
fn put_long_clip(dir: &Path) {
    File::create(dir.join("data/media/long.mp4")).unwrap().set_len(SIZE).unwrap();
}

/// Reads the clip to its end and holds what that took against what the processes had.
fn assert_passes(door: &Running, others: &[&Running]) {
    let all: Vec<_> = [door].iter().chain(others).map(|process| (*process, process.memory().0)).collect();
    let mut clip = door.begin("GET", "/media/long.mp4", "");
    let (mut length, mut buffer) = (0, vec![0; 1 << 16]);
    loop {
        match clip.read(&mut buffer).unwrap() {
            0 => break,
            read => length += read as u64,
        }
    }
    assert!((SIZE + 1..SIZE + 4096).contains(&length), "{length} bytes with the head");
    for (process, before) in all {
        let (_, most) = process.memory();
        assert!(most < before + ROOM, "{} MiB before, {} MiB at most: {}", before >> 20, most >> 20, process.banner);
    }
}

#[test]
fn a_gigabyte_passes_in_a_few_megabytes() {
    let dir = tempdir().unwrap();
    let server = Running::start(dir.path(), &[]);
    put_long_clip(dir.path());
    assert_passes(&server, &[]);
}

#[test]
fn a_gigabyte_passes_a_gateway_and_its_core_in_a_few_megabytes() {
    let (left, right) = (tempdir().unwrap(), tempdir().unwrap());
    let core = Running::start_as(&["core"], left.path(), &[]);
    let address = format!("http://{}", core.grpc.unwrap());
    let gateway = Running::start_as(&["gateway", "--core", &address], right.path(), &[]);
    put_long_clip(left.path());
    assert_passes(&gateway, &[&core]);
}
