//! Behind a proxy that is the only way out, which only a process of its own can be told by its environment.

#![expect(clippy::unwrap_used, reason = "a test's tool may fail as the test would")]

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::mpsc::{Receiver, channel},
};

use tempfile::tempdir;

use crate::running::Running;

/// A picture of one pixel.
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\0\0\0\0\x3a\x7e\x9b\x55\
    \0\0\0\nIDAT\x78\xda\x63\x60\0\0\0\x02\0\x01\xe5\x27\xde\xfc\0\0\0\0IEND\xae\x42\x60\x82";

/// The target of the next request. Its body is read as well: closing before would look like a break.
fn target(stream: &TcpStream) -> String {
    let mut lines = BufReader::new(stream);
    let (mut first, mut length) = (String::new(), 0);
    lines.read_line(&mut first).unwrap();
    loop {
        let mut line = String::new();
        lines.read_line(&mut line).unwrap();
        if let Some(told) = line.to_lowercase().strip_prefix("content-length:") {
            length = told.trim().parse().unwrap();
        }
        if line.trim().is_empty() {
            break;
        }
    }
    lines.read_exact(&mut vec![0; length]).unwrap();
    first.split(' ').nth(1).unwrap().to_owned()
}

/// A provider, which answers with this link, and the proxy, which knows the hosts that nobody else does.
fn outside(link: &'static str) -> (String, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (tell, told) = channel();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let target = target(&stream);
            let api = format!(r#"{{"created": 1795350000, "data": [{{"url": "{link}"}}]}}"#).into_bytes();
            let (head, body) = match target.as_str() {
                "/v1/images/generations" => ("200 OK\r\ncontent-type: application/json", api),
                "http://pictures.example/1.png" => ("200 OK", PNG.to_vec()),
                "http://pictures.example/astray" => ("302 Found\r\nlocation: http://169.254.169.254/", Vec::new()),
                _ => ("404 Not Found", Vec::new()),
            };
            let length = body.len();
            let head = format!("HTTP/1.1 {head}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
            let _ = tell.send(target);
            let _ = stream.write_all(&[head.as_bytes(), &body].concat());
        }
    });
    (address, told)
}

/// What is answered to a request for pictures, and what was asked outside for it.
fn made(link: &'static str, path: &str, body: &str) -> (String, Vec<String>) {
    let (address, told) = outside(link);
    let dir = tempdir().unwrap();
    let (base, proxy) = (format!("http://{address}/v1"), format!("http://{address}"));
    let environment = [
        ("IMAGE_SERVICE_TYPE", "openai"),
        ("IMAGE_BASE_URL", base.as_str()),
        ("HTTP_PROXY", proxy.as_str()),
        ("NO_PROXY", "127.0.0.1"),
    ];
    let server = Running::start(dir.path(), &environment);
    (server.post(path, body), told.try_iter().collect())
}

#[test]
fn a_providers_link_goes_by_the_proxy_of_the_environment() {
    let (answer, asked) = made("http://pictures.example/1.png", "/v1/images/generations", r#"{"prompt": "x"}"#);
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("/media/"), "{answer}");
    assert_eq!(asked, ["/v1/images/generations", "http://pictures.example/1.png"]);
}

#[test]
fn addresses_that_are_written_out_are_checked_before_the_proxy_is_asked() {
    for (link, by_proxy) in [
        ("http://169.254.169.254/latest", None),
        ("http://pictures.example/astray", Some("http://pictures.example/astray")),
    ] {
        let (answer, asked) = made(link, "/v1/images/generations", r#"{"prompt": "x"}"#);
        assert!(answer.starts_with("HTTP/1.1 500 ") && answer.contains("not public"), "{answer}");
        assert_eq!(asked.iter().map(String::as_str).skip(1).collect::<Vec<_>>(), by_proxy.as_slice(), "{link}");
    }
}

#[test]
fn an_address_in_a_request_never_goes_by_the_proxy() {
    let body = r#"{"prompt": "x", "images": [{"image_url": "http://pictures.example/1.png"}]}"#;
    let (answer, asked) = made("", "/v1/images/edits", body);
    assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("cannot be reached"), "{answer}");
    assert_eq!(asked, [""; 0]);
}
