//! Connections within the process that record the writes of the server.

use std::{
    io,
    net::IpAddr,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
};

use http_server::{Listener, OpenError};
use tokio::{
    io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf},
    sync::mpsc,
};

/// The lengths of the writes to a connection.
pub(super) type Writes = Arc<Mutex<Vec<usize>>>;

/// The server's end of a connection, which records its writes.
pub(super) struct Recorded {
    stream: DuplexStream,
    writes: Writes,
}

impl Recorded {
    pub(super) fn new(stream: DuplexStream) -> (Self, Writes) {
        let writes = Writes::default();
        (Self { stream, writes: writes.clone() }, writes)
    }
}

/// Accepts the connections that are sent to it.
pub(super) struct RecordedListener(pub(super) mpsc::UnboundedReceiver<Recorded>);

impl Listener for RecordedListener {
    type Accepted = Recorded;
    type Io = Recorded;

    async fn accept(&mut self) -> io::Result<(Recorded, Option<IpAddr>)> {
        match self.0.recv().await {
            Some(connection) => Ok((connection, None)),
            None => std::future::pending().await,
        }
    }

    async fn open(accepted: Recorded) -> Result<Recorded, OpenError> {
        Ok(accepted)
    }
}

impl AsyncRead for Recorded {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Recorded {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        if let Poll::Ready(Ok(length)) = written {
            self.writes.lock().unwrap().push(length);
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
