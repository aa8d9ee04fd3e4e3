//! A full disk, simulated by a limit of the file size of the process: every write of the database and of media files then fails
//! in the kernel. Raising the limit stands for an operator who frees space.

use tempfile::tempdir;

use crate::triptych_process::TriptychProcess;

const VIDEO: &str = r#"{"model":"offline-video","prompt":"a boat","size":"64x64","seconds":"1"}"#;
const IMAGE: &str = r#"{"model":"offline-image","prompt":"a boat","size":"64x64","response_format":"url"}"#;

/// Returns the value of a member of type string.
fn member<'a>(response: &'a str, name: &str) -> &'a str {
    response.split_once(&format!(r#""{name}":""#)).and_then(|(_, rest)| rest.split('"').next()).unwrap_or_default()
}

#[test]
fn creates_on_a_full_disk_are_refused_with_507_reads_and_readiness_continue_and_creates_succeed_once_there_is_space() {
    let dir = tempdir().unwrap();
    let server = TriptychProcess::start_without_file_size_signal(dir.path(), &[]);
    let created = server.post("/v1/videos", VIDEO);
    assert!(created.starts_with("HTTP/1.1 200 "), "{created}");
    let stored = server.post("/v1/images/generations", IMAGE);
    assert!(stored.starts_with("HTTP/1.1 200 "), "{stored}");
    let (id, url) = (member(&created, "id"), member(&stored, "url"));
    let path = &url[url.find("/media/").unwrap()..];

    server.limit_file_size("0");
    for (endpoint, body) in [("/v1/videos", VIDEO), ("/v1/images/generations", &IMAGE.replace("boat", "car"))] {
        let refused = server.post(endpoint, body);
        assert!(refused.starts_with("HTTP/1.1 507 "), "{refused}");
        assert_eq!(member(&refused, "code"), "storage_not_writable", "{refused}");
        assert!(refused.contains("its disk is full or read-only") && !refused.contains("SQLITE"), "{refused}");
    }
    server.wait_for_log("the media store is not writable: creates are refused, reads continue");
    let metrics = server.get("/metrics");
    for store in ["jobs", "media"] {
        assert!(metrics.contains(&format!("triptych_storage_writable{{store=\"{store}\"}} 0")), "{metrics}");
    }
    assert!(server.get("/readyz").starts_with("HTTP/1.1 200 "));
    assert!(server.get(&format!("/v1/videos/{id}")).contains(id));
    assert!(server.send_and_read_bytes("GET", path).starts_with(b"HTTP/1.1 200 "));
    let chat = r#"{"model":"offline-chat","messages":[{"role":"user","content":"Hello"}]}"#;
    assert!(server.post("/v1/chat/completions", chat).starts_with("HTTP/1.1 200 "));

    server.limit_file_size("unlimited");
    server.wait_for_log("the media store is writable again");
    for (endpoint, body) in [("/v1/videos", VIDEO), ("/v1/images/generations", IMAGE)] {
        let response = server.post(endpoint, body);
        assert!(response.starts_with("HTTP/1.1 200 "), "{response}");
    }
}
