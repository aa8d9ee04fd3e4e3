//! One call on one connection, both moved by whoever waits for the answer.
//!
//! hyper's pooled client gives each connection a task of its own, which hands an answer over piece by piece: one waking
//! and one write to the caller for each chunk, even when many have arrived together. Here the connection makes progress
//! only within the polls of its reader, who sees all that has arrived before it waits again. It also follows that
//! dropping the reader closes the connection at once, and that one who reads slowly slows the upstream down.

use std::{
    future::poll_fn,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body::Body;
use http_body_util::Full;
use hyper::{
    body::Incoming,
    client::conn::http1::{self, SendRequest},
};

use super::{connect::Io, pool::Pool};

/// Longest head of an answer, and most that is read ahead of its reader.
const BUFFER: usize = 64 << 10;

/// A connection that carries one call at a time.
pub(super) struct Connection {
    sender: SendRequest<Full<Bytes>>,
    driver: Box<http1::Connection<Io, Full<Bytes>>>,
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Unanswered {
    /// Nothing of the request was written; here it is again.
    Unsent(Box<Request<Full<Bytes>>>),
    /// The connection broke while the upstream had the request, or a part of it.
    Broken,
}

impl Connection {
    pub(super) async fn open(io: Io) -> Result<Self, hyper::Error> {
        let (sender, driver) = http1::Builder::new().max_buf_size(BUFFER).handshake(io).await?;
        let mut opened = Self { sender, driver: Box::new(driver) };
        opened.is_idle();
        Ok(opened)
    }

    /// Whether it stands and waits for a call.
    pub(super) fn is_idle(&mut self) -> bool {
        // Nobody waits for it to be moved, so nobody needs to be woken.
        let mut cx = Context::from_waker(Waker::noop());
        Pin::new(&mut *self.driver).poll(&mut cx).is_pending() && self.sender.is_ready()
    }

    /// Sends a request and waits for the head of its answer.
    pub(super) async fn send(&mut self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, Unanswered> {
        let driver = &mut *self.driver;
        let mut answer = pin!(self.sender.try_send_request(request));
        let mut ended = false;
        poll_fn(|cx| {
            ended = ended || Pin::new(&mut *driver).poll(cx).is_ready();
            // The answer is handed over within the driver's polls and nowhere else.
            match answer.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(Ok(response)) => Poll::Ready(Ok(response)),
                Poll::Ready(Err(mut error)) => {
                    let unsent = error.take_message().map(Box::new).map(Unanswered::Unsent);
                    tracing::debug!(error = %error.error(), "the connection to the upstream broke");
                    Poll::Ready(Err(unsent.unwrap_or(Unanswered::Broken)))
                }
                Poll::Pending if ended => Poll::Ready(Err(Unanswered::Broken)),
                Poll::Pending => Poll::Pending,
            }
        })
        .await
    }
}

/// An answer under way. Dropping it closes its connection, unless it was read to its end.
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    body: Incoming,
    /// `None` once it has gone back to the pool, or ended.
    connection: Option<Connection>,
    pool: Arc<Pool>,
}

/// The connection broke within an answer.
#[derive(Debug, thiserror::Error)]
#[error("the connection to the upstream broke")]
pub(crate) struct Broken;

impl Reply {
    pub(super) fn new(response: Response<Incoming>, connection: Connection, pool: Arc<Pool>) -> Self {
        let (head, body) = response.into_parts();
        Self { status: head.status, headers: head.headers, body, connection: Some(connection), pool }
    }

    /// The next piece of the body, never empty; `None` at its end.
    pub(crate) async fn chunk(&mut self) -> Result<Option<Bytes>, Broken> {
        poll_fn(|cx| self.poll_chunk(cx)).await
    }

    /// What [`Self::chunk`] waits for.
    pub(crate) fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, Broken>> {
        let mut driven = false;
        loop {
            match Pin::new(&mut self.body).poll_frame(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) if !data.is_empty() => return Poll::Ready(Ok(Some(data))),
                    // A trailer says nothing that anybody here would listen to.
                    Ok(_) | Err(_) => {}
                },
                Poll::Ready(Some(Err(error))) => {
                    tracing::debug!(%error, "the connection to the upstream broke");
                    self.connection = None;
                    return Poll::Ready(Err(Broken));
                }
                Poll::Ready(None) => {
                    if let Some(mut connection) = self.connection.take()
                        && connection.is_idle()
                    {
                        self.pool.put(connection);
                    }
                    return Poll::Ready(Ok(None));
                }
                Poll::Pending if driven => return Poll::Pending,
                Poll::Pending => {
                    let Some(connection) = &mut self.connection else { return Poll::Ready(Err(Broken)) };
                    if Pin::new(&mut *connection.driver).poll(cx).is_ready() {
                        self.connection = None;
                    } else {
                        driven = true;
                    }
                }
            }
        }
    }
}
