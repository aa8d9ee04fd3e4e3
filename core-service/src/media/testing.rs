//! An HTTP server for tests. Each connection gets one response, written byte for byte as the test composed it.

use std::net::{IpAddr, Ipv4Addr};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// The address that the server listens on.
pub(crate) const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// The head of a request that the server received.
#[derive(Debug, Clone)]
pub(crate) struct ReceivedRequest(String);

impl ReceivedRequest {
    /// Reads the next request of a connection.
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
