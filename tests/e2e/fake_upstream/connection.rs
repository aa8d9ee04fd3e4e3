//! One connection to the fake upstream: reads requests, writes replies in the chunked transfer coding.

use std::sync::Arc;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{
    ReceivedRequest, Shared,
    reply::{Reply, Step},
};

/// Replies to requests until the connection is closed.
pub(super) async fn serve(mut stream: TcpStream, shared: Arc<Shared>) {
    stream.set_nodelay(true).unwrap();
    let mut buffer = Vec::new();
    while let Some(request) = read_request(&mut stream, &mut buffer).await {
        let reply = shared.replies().take(&request.path);
        // Fails if the test has ended.
        let _ = shared.requests.send(request);
        let reply = reply.unwrap_or_else(|| Reply::new(500, r#"{"error":{"message":"the test enqueued no reply"}}"#));
        if write_response(&mut stream, reply, &shared).await.is_none() {
            return;
        }
    }
}

/// Reads one request whose length is known from its head. Returns `None` if the client has disconnected.
async fn read_request(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<ReceivedRequest> {
    loop {
        if let Some(end) = buffer.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
            let head = String::from_utf8(buffer[..end].to_vec()).unwrap();
            let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
            let head = head.to_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok()).unwrap_or(0);
            if buffer.len() >= end + 4 + length {
                let body = buffer[end + 4..end + 4 + length].to_vec();
                buffer.drain(..end + 4 + length);
                return Some(ReceivedRequest { head, path, body });
            }
        }
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    }
}

/// Writes a reply. Returns `None` if the connection cannot be used again.
async fn write_response(stream: &mut TcpStream, reply: Reply, shared: &Shared) -> Option<()> {
    let floods = reply.steps.iter().any(|step| matches!(step, Step::Flood { .. }));
    if !reply.head.is_empty() {
        stream.write_all(format!("{}\r\n", reply.head).as_bytes()).await.ok()?;
    }
    for step in reply.steps {
        match step {
            Step::Send(bytes) if bytes.is_empty() => {}
            Step::Send(bytes) => {
                stream.write_all(&chunk(&bytes)).await.ok()?;
            }
            Step::Flood { packet, total, counter } => {
                let chunk = chunk(&packet);
                while counter.sent() < total {
                    if stream.write_all(&chunk).await.is_err() {
                        shared.disconnected.notify_one();
                        return None;
                    }
                    counter.add(chunk.len());
                }
            }
            Step::WaitFor(latch) => latch.0.acquire().await.unwrap().forget(),
            Step::Stall => {
                // A connected client sends nothing before it has a response, so this read ends only with a disconnect.
                let _ = stream.read(&mut [0; 1]).await;
                shared.disconnected.notify_one();
                return None;
            }
            Step::Abort => return None,
        }
    }
    stream.write_all(b"0\r\n\r\n").await.ok()?;
    if floods {
        shared.flood_read.notify_one();
    }
    Some(())
}

/// Encodes a part of a body in the chunked transfer coding.
fn chunk(bytes: &[u8]) -> Vec<u8> {
    [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat()
}
