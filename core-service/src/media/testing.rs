//! A server for tests: one answer a connection, byte for byte as the test writes it.

use std::net::{IpAddr, Ipv4Addr};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// Where it listens.
pub(crate) const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// The head of one request.
#[derive(Debug, Clone)]
pub(crate) struct Asked(String);

impl Asked {
    /// The next request of a connection.
    pub(crate) async fn read(socket: &mut TcpStream) -> Self {
        let (mut request, mut buffer) = (Vec::new(), [0; 1024]);
        while !request.ends_with(b"\r\n\r\n") {
            match socket.read(&mut buffer).await {
                Ok(length @ 1..) => request.extend_from_slice(&buffer[..length]),
                Ok(0) | Err(_) => break,
            }
        }
        Self(String::from_utf8_lossy(&request).into_owned())
    }

    /// The path with its query.
    pub(crate) fn path(&self) -> &str {
        self.0.split(' ').nth(1).unwrap_or_default()
    }

    /// The value of a header, by its name in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let pairs = self.0.lines().filter_map(|line| line.split_once(": "));
        pairs.into_iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}

/// Answers every request with what `answer` says to it, hangs up, and returns the address to ask.
pub(crate) async fn server(answer: impl FnMut(&Asked) -> Vec<u8> + Send + 'static) -> String {
    let mut answer = answer;
    let listener = TcpListener::bind((HERE, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let asked = Asked::read(&mut socket).await;
            drop(socket.write_all(&answer(&asked)).await);
        }
    });
    format!("http://{address}")
}

/// A whole answer with these header lines.
pub(crate) fn answer(status: &str, headers: &[&str], body: &[u8]) -> Vec<u8> {
    let lines = headers.iter().fold(String::new(), |lines, line| lines + line + "\r\n");
    let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n{lines}\r\n", body.len());
    [head.as_bytes(), body].concat()
}

/// A plain answer.
pub(crate) fn ok(body: &[u8]) -> Vec<u8> {
    answer("200 OK", &[], body)
}

/// A redirect.
pub(crate) fn redirect(location: &str) -> Vec<u8> {
    answer("302 Found", &[&format!("location: {location}")], b"")
}
