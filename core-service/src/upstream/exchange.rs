//! One request and its response on one connection.

use std::{
    future::poll_fn,
    io::{self, IoSlice},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker, ready},
};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::AsyncWrite;

use super::{
    body::{Body, ConnectionLost},
    connect::Io,
    connection::{BUFFER, Connection},
    decompress::Decompressor,
    framing::Malformed,
    head::{Head, keep_alive_timeout, read_head, write_head},
    pool::{Pool, Pooled},
};

/// Why a request got no response.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum SendError {
    /// No byte of the request was written: it can be sent again.
    NotSent,
    /// The connection was lost after a part of the request was written: the upstream may have received it.
    ConnectionLost,
}

/// Sends a request with the `common` headers of every request and waits for the head of its response. Where the response arrives
/// before the request is completely sent, the rest of the request is not sent, and the connection is not reused.
pub(super) async fn send(
    mut connection: Connection,
    common: &HeaderMap,
    request: &Request<Bytes>,
    pool: Arc<Pool>,
) -> Result<UpstreamResponse, SendError> {
    let head = write_head(common, request);
    let mut outgoing = Outgoing { parts: [&head, request.body()], sent: 0, finished: false };
    let mut incoming = Incoming::default();
    let (head, early) = poll_fn(|cx| {
        if !outgoing.finished
            && let Poll::Ready(Err(error)) = outgoing.poll_send(&mut connection.io, cx)
        {
            tracing::debug!(%error, sent = outgoing.sent, "the connection to the upstream broke");
            if outgoing.sent == 0 {
                return Poll::Ready(Err(SendError::NotSent));
            }
            // An upstream that refuses a request may close while it is being sent; its response may already be here.
            outgoing.finished = true;
        }
        loop {
            match ready!(connection.poll_read(cx, |bytes| incoming.push(request, bytes))) {
                Ok(Ok(None)) => {}
                Ok(Ok(Some(head))) => return Poll::Ready(Ok(head)),
                Ok(Err(Malformed)) => return Poll::Ready(Err(SendError::ConnectionLost)),
                Err(error) => {
                    tracing::debug!(%error, "the connection to the upstream broke");
                    return Poll::Ready(Err(SendError::ConnectionLost));
                }
            }
        }
    })
    .await?;
    let keep_alive = head.keep_alive && outgoing.is_complete();
    if let Some(timeout) = keep_alive_timeout(&head.headers) {
        connection.set_keep_alive(timeout);
    }
    let body = Body::new(connection, head.framing, keep_alive, early);
    let decompressor = Decompressor::from_headers(&head.headers).map(Box::new);
    Ok(UpstreamResponse { status: head.status, headers: head.headers, body: Some(body), decompressor, pool })
}

/// A request that is being written.
struct Outgoing<'a> {
    /// Head and body.
    parts: [&'a [u8]; 2],
    /// How many bytes of both have been written.
    sent: usize,
    /// Whether nothing more is written, because all is flushed or writing failed.
    finished: bool,
}

impl Outgoing<'_> {
    fn poll_send(&mut self, io: &mut TokioIo<Io>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let [head, body] = self.parts;
        while !self.is_complete() {
            let rest = [&head[self.sent.min(head.len())..], &body[self.sent.saturating_sub(head.len())..]];
            match ready!(Pin::new(&mut *io).poll_write_vectored(cx, &rest.map(IoSlice::new)))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => self.sent += written,
            }
        }
        ready!(Pin::new(io).poll_flush(cx))?;
        self.finished = true;
        Poll::Ready(Ok(()))
    }

    fn is_complete(&self) -> bool {
        let [head, body] = self.parts;
        self.sent == head.len() + body.len()
    }
}

/// The part of a response head that has arrived, where it takes several packets.
#[derive(Default)]
struct Incoming(Vec<u8>);

impl Incoming {
    /// Returns the head and the bytes after it once the head is complete.
    fn push(&mut self, request: &Request<Bytes>, bytes: &[u8]) -> Result<Option<(Head, Vec<u8>)>, Malformed> {
        // No bytes: the connection was closed. The limit: the longest incomplete head and the read that completes it.
        if bytes.is_empty() || self.0.len() + bytes.len() > 2 * BUFFER {
            return Err(Malformed);
        }
        let all = if self.0.is_empty() {
            bytes
        } else {
            self.0.extend_from_slice(bytes);
            &self.0
        };
        let head = read_head(request.method(), all)?;
        if let Some((head, length)) = head {
            return Ok(Some((head, all[length..].to_vec())));
        }
        if self.0.is_empty() {
            self.0 = bytes.to_vec();
        }
        if self.0.len() > BUFFER { Err(Malformed) } else { Ok(None) }
    }
}

/// A response whose head has arrived. Dropping it before the end of its body closes the connection.
pub(crate) struct UpstreamResponse {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    /// `None` after the end of the body.
    body: Option<Body>,
    /// For a compressed body, until its end.
    decompressor: Option<Box<Decompressor>>,
    pool: Arc<Pool>,
}

impl UpstreamResponse {
    /// Returns the next part of the body, never empty; `None` at its end.
    pub(crate) async fn chunk(&mut self) -> Result<Option<Bytes>, ConnectionLost> {
        let mut chunk = BytesMut::new();
        let more = poll_fn(|cx| self.poll_body(cx, |data| chunk.extend_from_slice(data))).await?;
        Ok(more.then(|| chunk.freeze()))
    }

    /// Lends the body data that has arrived to `read`, in one or several calls. Returns `false` at the end of the body,
    /// without a call of `read`. `read` must not read from an upstream itself: all connections of a thread share a buffer.
    pub(crate) fn poll_body(
        &mut self,
        cx: &mut Context<'_>,
        mut read: impl FnMut(&[u8]),
    ) -> Poll<Result<bool, ConnectionLost>> {
        let Some(mut decompressor) = self.decompressor.take() else { return self.poll_raw(cx, read) };
        loop {
            let mut lent = Ok(false);
            let more = self.poll_raw(cx, |data| {
                if let Ok(any) = &lent {
                    let any = *any;
                    lent = decompressor.push(data, &mut read).map(|more| any || more);
                }
            });
            match more {
                Poll::Ready(Ok(true)) => match lent {
                    // A part of the input need not complete a part of the output.
                    Ok(false) => continue,
                    Ok(true) => {}
                    Err(error) => {
                        // The rest cannot be decompressed. Closes the connection.
                        self.body = None;
                        return Poll::Ready(Err(error));
                    }
                },
                Poll::Ready(Ok(false)) => return Poll::Ready(decompressor.finish(read)),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {
                    self.decompressor = Some(decompressor);
                    return Poll::Pending;
                }
            }
            self.decompressor = Some(decompressor);
            return Poll::Ready(Ok(true));
        }
    }

    /// Lends the data as they were sent. See [`poll_body`](Self::poll_body).
    fn poll_raw(&mut self, cx: &mut Context<'_>, read: impl FnMut(&[u8])) -> Poll<Result<bool, ConnectionLost>> {
        let Some(body) = &mut self.body else { return Poll::Ready(Ok(false)) };
        let more = ready!(body.poll_data(cx, read));
        if let Ok(false) = more
            && let Some(connection) = self.body.take().and_then(Body::into_idle)
        {
            self.pool.put(Pooled::Idle(connection));
        }
        Poll::Ready(more)
    }

    /// Ends the response after the last data that matters. Upstreams often send the end of the body in a packet of its
    /// own, after their last event: it is not waited for, and the connection is reused if it has arrived by then.
    pub(crate) fn finish(&mut self) {
        match self.poll_body(&mut Context::from_waker(Waker::noop()), |_| {}) {
            Poll::Pending => {
                if let Some(body) = self.body.take() {
                    self.pool.put(Pooled::Ending(body));
                }
            }
            Poll::Ready(_) => self.body = None,
        }
    }
}
