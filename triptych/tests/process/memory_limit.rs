//! Many requests at once, each with the largest input, in a process whose memory is limited.

#![expect(clippy::unwrap_used, reason = "a failure of a helper is a failure of the test")]

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    thread,
};

use flate2::{Compression, write::GzEncoder};
use tempfile::tempdir;

use crate::{proxy::PNG, triptych_process::TriptychProcess};

/// The budgets of request bodies and of input pictures, 512 MiB each, and as much for everything else.
const MEMORY_LIMIT: u64 = 1536 << 20;

/// Sends requests at the same time and returns the number of responses with each status.
fn status_counts(address: SocketAddr, count: usize, request: &[u8]) -> Vec<(String, usize)> {
    let statuses: Vec<String> = thread::scope(|scope| {
        let send = || {
            let mut stream = TcpStream::connect(address).unwrap();
            stream.write_all(request).unwrap();
            let mut response = String::new();
            stream.read_to_string(&mut response).unwrap();
            response["HTTP/1.1 ".len()..][..3].to_owned()
        };
        let calls: Vec<_> = (0..count).map(|_| scope.spawn(send)).collect();
        calls.into_iter().map(|call| call.join().unwrap()).collect()
    });
    ["200", "400", "429"]
        .map(|known| (known.to_owned(), statuses.iter().filter(|status| *status == known).count()))
        .into()
}

fn request(path: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("POST {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-type: application/json\r\n");
    [head.as_bytes(), format!("{headers}content-length: {}\r\n\r\n", body.len()).as_bytes(), body].concat()
}

fn count(counts: &[(String, usize)], status: &str) -> usize {
    counts.iter().find(|(known, _)| known == status).map_or(0, |(_, count)| *count)
}

#[test]
fn compressed_bodies_that_expand_to_gigabytes_return_429() {
    let dir = tempdir().unwrap();
    let server = TriptychProcess::start(dir.path(), &[]);
    server.limit_memory(MEMORY_LIMIT);
    let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
    gzip.write_all(br#"{"model":"offline-chat","messages":[{"role":"user","content":"Hello"}]"#).unwrap();
    // Spaces that compress well, just below `rest.body_limit_bytes`.
    gzip.write_all(&vec![b' '; 60 << 20]).unwrap();
    gzip.write_all(b"}").unwrap();
    let body = gzip.finish().unwrap();
    let counts =
        status_counts(server.rest.unwrap(), 40, &request("/v1/chat/completions", "content-encoding: gzip\r\n", &body));
    let (succeeded, refused) = (count(&counts, "200"), count(&counts, "429"));
    assert!(succeeded > 0 && refused > 0 && succeeded + refused == 40, "{counts:?}");
    assert!(server.get("/readyz").starts_with("HTTP/1.1 200"));
}

/// Serves a picture just below `media.max_input_bytes`, most of which follows the end of the picture.
fn serve_large_pictures() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            thread::spawn(move || {
                let mut stream = stream;
                let _ = stream.read(&mut [0; 4096]);
                let body = [PNG, &vec![0; 19 << 20]].concat();
                let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
                // Refused requests are not read to their end.
                let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body));
            });
        }
    });
    address
}

#[test]
fn picture_addresses_that_lead_to_gigabytes_return_429() {
    let dir = tempdir().unwrap();
    let server = TriptychProcess::start(dir.path(), &[("TRIPTYCH_MEDIA_FETCH_PRIVATE_ADDRESSES", "true")]);
    server.limit_memory(MEMORY_LIMIT);
    let image = format!(r#"{{"image_url":"http://{}/a.png"}}"#, serve_large_pictures());
    let images = vec![image; 16].join(",");
    let body = format!(r#"{{"model":"offline-image","prompt":"a","size":"64x64","images":[{images}]}}"#);
    let edit = request("/v1/images/edits", "", body.as_bytes());
    // How many succeed depends on how their downloads interleave.
    let concurrent = status_counts(server.rest.unwrap(), 8, &edit);
    let (succeeded, refused) = (count(&concurrent, "200"), count(&concurrent, "429"));
    assert!(refused > 0 && succeeded + refused == 8, "{concurrent:?}");
    let alone = status_counts(server.rest.unwrap(), 1, &edit);
    assert_eq!(count(&alone, "200"), 1, "{alone:?}");
    assert!(server.get("/readyz").starts_with("HTTP/1.1 200"));
}
