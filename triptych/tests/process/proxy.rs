//! Outgoing requests with `HTTP_PROXY`, which is read from the environment of the process.

#![expect(clippy::unwrap_used, reason = "a failure of a helper is a failure of the test")]

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::mpsc::{Receiver, channel},
};

use tempfile::tempdir;

use crate::triptych_process::TriptychProcess;

/// A PNG of one pixel.
pub(crate) const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\0\0\0\0\x3a\x7e\x9b\x55\
    \0\0\0\nIDAT\x78\xda\x63\x60\0\0\0\x02\0\x01\xe5\x27\xde\xfc\0\0\0\0IEND\xae\x42\x60\x82";

/// Reads a request and returns its target. The body is read too, since closing earlier would reset the connection.
fn read_target(stream: &TcpStream) -> String {
    let mut lines = BufReader::new(stream);
    let (mut first, mut length) = (String::new(), 0);
    lines.read_line(&mut first).unwrap();
    loop {
        let mut line = String::new();
        lines.read_line(&mut line).unwrap();
        if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        if line.trim().is_empty() {
            break;
        }
    }
    lines.read_exact(&mut vec![0; length]).unwrap();
    first.split(' ').nth(1).unwrap().to_owned()
}

/// Starts a server that is both an image provider, whose response has this link, and the proxy, which alone resolves
/// `pictures.example`. Returns its address and the targets of its requests.
fn start_provider_and_proxy(link: &'static str) -> (String, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (sender, targets) = channel();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let target = read_target(&stream);
            let api = format!(r#"{{"created": 1795350000, "data": [{{"url": "{link}"}}]}}"#).into_bytes();
            let (head, body) = match target.as_str() {
                "/v1/images/generations" => ("200 OK\r\ncontent-type: application/json", api),
                "http://pictures.example/1.png" => ("200 OK", PNG.to_vec()),
                "http://pictures.example/redirect" => ("302 Found\r\nlocation: http://169.254.169.254/", Vec::new()),
                _ => ("404 Not Found", Vec::new()),
            };
            let length = body.len();
            let head = format!("HTTP/1.1 {head}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
            let _ = sender.send(target);
            let _ = stream.write_all(&[head.as_bytes(), &body].concat());
        }
    });
    (address, targets)
}

/// Sends an image request to Triptych, and returns the response and the targets of its outgoing requests.
fn request_images(link: &'static str, path: &str, body: &str) -> (String, Vec<String>) {
    let (address, targets) = start_provider_and_proxy(link);
    let dir = tempdir().unwrap();
    let (base, proxy) = (format!("http://{address}/v1"), format!("http://{address}"));
    let environment = [
        ("IMAGE_SERVICE_TYPE", "openai"),
        ("IMAGE_BASE_URL", base.as_str()),
        ("HTTP_PROXY", proxy.as_str()),
        ("NO_PROXY", "127.0.0.1"),
    ];
    let server = TriptychProcess::start(dir.path(), &environment);
    (server.post(path, body), targets.try_iter().collect())
}

#[test]
fn provider_link_is_downloaded_through_the_proxy() {
    let (response, targets) =
        request_images("http://pictures.example/1.png", "/v1/images/generations", r#"{"prompt": "x"}"#);
    assert!(response.starts_with("HTTP/1.1 200 ") && response.contains("/media/"), "{response}");
    assert_eq!(targets, ["/v1/images/generations", "http://pictures.example/1.png"]);
}

#[test]
fn provider_link_with_a_private_address_is_rejected_before_the_proxy() {
    for (link, through_proxy) in [
        // The address of the metadata service of clouds.
        ("http://169.254.169.254/latest", None),
        ("http://pictures.example/redirect", Some("http://pictures.example/redirect")),
    ] {
        let (response, targets) = request_images(link, "/v1/images/generations", r#"{"prompt": "x"}"#);
        assert!(response.starts_with("HTTP/1.1 500 ") && response.contains("not public"), "{response}");
        assert_eq!(targets.iter().map(String::as_str).skip(1).collect::<Vec<_>>(), through_proxy.as_slice(), "{link}");
    }
}

#[test]
fn url_in_a_request_is_not_fetched_through_the_proxy() {
    let body = r#"{"prompt": "x", "images": [{"image_url": "http://pictures.example/1.png"}]}"#;
    // Without a link: the request to the provider, whose response would have it, is never sent.
    let (response, targets) = request_images("", "/v1/images/edits", body);
    assert!(response.starts_with("HTTP/1.1 400 ") && response.contains("cannot be reached"), "{response}");
    assert_eq!(targets, [""; 0]);
}
