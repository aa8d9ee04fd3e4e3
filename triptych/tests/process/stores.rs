//! The data directory of a process: its loss while the process runs and before a start, its lock against a second process, backup and
//! restore, and media files outside of it.

use tempfile::tempdir;
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient};

use crate::triptych_process::{TriptychProcess, command};

const CREATE: &str = r#"{"prompt": "a boat", "size": "128x72", "seconds": "1"}"#;

#[tokio::test]
async fn removed_data_directory_fails_creates_and_readiness_but_not_chat() {
    let dir = tempdir().unwrap();
    let server = TriptychProcess::start(dir.path(), &[]);
    let mut health = HealthClient::new(server.channel().await);
    let request = |service: &str| HealthCheckRequest { service: format!("triptych.v1.{service}") };
    let mut updates = health.watch(request("VideoService")).await.unwrap().into_inner();
    assert_eq!(updates.message().await.unwrap().unwrap().status(), ServingStatus::Serving);
    // A rename: deleting the directory could fail, because the server writes into it at the same time.
    std::fs::rename(dir.path().join("data"), dir.path().join("removed")).unwrap();
    let response = server.post("/v1/videos", CREATE);
    assert!(response.starts_with("HTTP/1.1 503 ") && response.contains("storage_unavailable"), "{response}");
    assert_eq!(updates.message().await.unwrap().unwrap().status(), ServingStatus::NotServing);
    assert_eq!(health.check(request("ChatService")).await.unwrap().into_inner().status(), ServingStatus::Serving);
    assert!(server.get("/readyz").starts_with("HTTP/1.1 503 "));
    let body = r#"{"model": "offline-chat", "messages": [{"role": "user", "content": "Hello"}]}"#;
    assert!(server.post("/v1/chat/completions", body).starts_with("HTTP/1.1 200 "));
}

#[test]
fn lost_database_is_reported_in_banner_and_log() {
    let dir = tempdir().unwrap();
    let mut server = TriptychProcess::start(dir.path(), &[]);
    assert!(server.post("/v1/videos", CREATE).starts_with("HTTP/1.1 200 "));
    server.signal("TERM");
    assert_eq!(server.wait_for_exit().code(), Some(0));
    // The file `jobs.sequence` still has the number of the last job event; the new, empty database ends before it.
    std::fs::remove_file(dir.path().join("data/jobs.sqlite")).unwrap();
    let server = TriptychProcess::start(dir.path(), &[]);
    server.wait_for_log("newest jobs are missing");
    assert!(server.banner.contains("WARNING: the job database ends at event 0"), "{}", server.banner);
}

#[test]
fn second_process_on_a_data_directory_is_refused_until_the_first_is_killed() {
    let dir = tempdir().unwrap();
    let server = TriptychProcess::start(dir.path(), &[]);
    for role in [&[][..], &["core"]] {
        let output = command(dir.path(), &[]).args(role).output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{stderr}");
        let directory = dir.path().canonicalize().unwrap().join("data");
        for part in [directory.to_str().unwrap(), "another process is using", "stop that process", "TRIPTYCH_DATA_DIR"]
        {
            assert!(stderr.contains(part), "{part} is missing in {stderr}");
        }
    }
    assert!(server.post("/v1/videos", CREATE).starts_with("HTTP/1.1 200 "));
    server.kill();
    let server = TriptychProcess::start(dir.path(), &[]);
    assert!(server.post("/v1/videos", CREATE).starts_with("HTTP/1.1 200 "));
}

#[test]
fn backup_of_a_running_process_is_restored_and_served_and_a_second_one_of_that_name_is_refused() {
    let dir = tempdir().unwrap();
    let server = TriptychProcess::start(dir.path(), &[]);
    let created = server.post("/v1/videos", CREATE);
    let id = created.split("video_").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
    let run = |arguments: &[&str]| {
        let output = command(dir.path(), &[]).args(arguments).output().unwrap();
        let text = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap()).concat();
        (output.status.code(), text)
    };
    let (code, text) = run(&["backup", "copy"]);
    assert!(code == Some(0) && text.starts_with("Backup copy: 1 jobs, ") && text.lines().count() == 1, "{text}");
    let (code, text) = run(&["backup", "copy"]);
    assert!(code == Some(1) && text.contains("copy: exists"), "{text}");
    // Without --data-dir, the target is the data directory that the running process uses.
    let (code, text) = run(&["restore", "copy"]);
    assert!(code == Some(1) && text.contains("another process is using the directory"), "{text}");
    server.kill();
    let (code, text) = run(&["restore", "copy", "--data-dir", "new"]);
    assert!(code == Some(0) && text.ends_with("TRIPTYCH_DATA_DIR=new.\n"), "{text}");
    let server = TriptychProcess::start(dir.path(), &[("TRIPTYCH_DATA_DIR", "new")]);
    assert!(server.get(&format!("/v1/videos/video_{id}")).starts_with("HTTP/1.1 200 "));

    // A backup is not a data directory: it must be restored first.
    let output = command(dir.path(), &[("TRIPTYCH_DATA_DIR", "copy")]).output().unwrap();
    let refused = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(1) && refused.contains("triptych restore BACKUP"), "{refused}");
}

#[test]
fn files_are_stored_at_media_url_and_are_not_part_of_a_backup() {
    let dir = tempdir().unwrap();
    let files = dir.path().join("files");
    let media_url = format!("file://{}", files.display());
    let environment = [("TRIPTYCH_MEDIA_URL", media_url.as_str())];
    let server = TriptychProcess::start(dir.path(), &environment);
    let body = r#"{"prompt": "a boat", "size": "64x64", "response_format": "url"}"#;
    let created = server.post("/v1/images/generations", body);
    let key = created.split("/media/").nth(1).and_then(|rest| rest.split(['"', '?']).next()).unwrap();
    assert!(files.join(key).is_file() && !dir.path().join("data/media").exists(), "{created}");
    assert!(server.send_and_read_bytes("GET", &format!("/media/{key}")).starts_with(b"HTTP/1.1 200 "));
    let output = command(dir.path(), &environment).args(["backup", "copy"]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains(" 0 media files ") && text.contains(&format!("media.url = \"{media_url}\"")), "{text}");
}

#[test]
fn gateway_starts_beside_a_process_that_uses_the_data_directory() {
    let dir = tempdir().unwrap();
    let core = TriptychProcess::start_as(&["core"], dir.path(), &[]);
    let address = format!("http://{}", core.grpc.unwrap());
    let gateway = TriptychProcess::start_as(&["gateway", "--core", &address], dir.path(), &[]);
    assert!(gateway.get("/v1/models").starts_with("HTTP/1.1 200 "));
}
