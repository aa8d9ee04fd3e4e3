//! An HTTP server for tests. Each connection gets one response, written byte for byte as the test composed it.

use std::net::{IpAddr, Ipv4Addr};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// The address that the server listens on.
pub(crate) const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// A request that the server received.
#[derive(Debug, Clone)]
pub(crate) struct ReceivedRequest(String);

impl ReceivedRequest {
    /// Reads the next request of a connection.
    pub(crate) async fn read(socket: &mut TcpStream) -> Self {
        let (mut request, mut buffer) = (Self(String::new()), [0; 1024]);
        while !request.is_complete() {
            match socket.read(&mut buffer).await {
                Ok(length @ 1..) => request.0.push_str(&String::from_utf8_lossy(&buffer[..length])),
                Ok(0) | Err(_) => break,
            }
        }
        request
    }

    fn is_complete(&self) -> bool {
        let length = self.header("content-length").map_or(0, |length| length.parse().unwrap());
        self.0.split_once("\r\n\r\n").is_some_and(|(_, body)| body.len() >= length)
    }

    /// Returns the path with its query.
    pub(crate) fn path(&self) -> &str {
        self.0.split(' ').nth(1).unwrap_or_default()
    }

    /// Returns the value of a header, by its name in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let pairs = self.0.lines().filter_map(|line| line.split_once(": "));
        pairs.into_iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}

/// Starts a server that writes what `respond` returns and closes the connection. Returns its base URL.
pub(crate) async fn serve(mut respond: impl FnMut(&ReceivedRequest) -> Vec<u8> + Send + 'static) -> String {
    let listener = TcpListener::bind((LOOPBACK, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let request = ReceivedRequest::read(&mut socket).await;
            drop(socket.write_all(&respond(&request)).await);
        }
    });
    format!("http://{address}")
}

/// Composes a response with these header lines.
pub(crate) fn response(status: &str, headers: &[&str], body: &[u8]) -> Vec<u8> {
    let lines = headers.iter().fold(String::new(), |lines, line| lines + line + "\r\n");
    let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n{lines}\r\n", body.len());
    [head.as_bytes(), body].concat()
}

/// Composes a response with the status 200.
pub(crate) fn ok(body: &[u8]) -> Vec<u8> {
    response("200 OK", &[], body)
}

/// Composes a redirect.
pub(crate) fn redirect(location: &str) -> Vec<u8> {
    response("302 Found", &[&format!("location: {location}")], b"")
}
