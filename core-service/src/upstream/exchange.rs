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
    task::{Context, Poll, Waker, ready},
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body::Body as _;
use http_body_util::Full;
use hyper::{
    body::Incoming,
    client::conn::http1::{self, SendRequest},
};

use super::{
    connect::Io,
    pool::{Kept, Pool},
};

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
    /// `None` once its end was seen.
    body: Option<Body>,
    pool: Arc<Pool>,
}

/// The body of an answer and the connection it comes over, if that still stands.
pub(super) struct Body {
    incoming: Incoming,
    connection: Option<Connection>,
}

/// The connection broke within an answer.
#[derive(Debug, thiserror::Error)]
#[error("the connection to the upstream broke")]
pub(crate) struct Broken;

impl Reply {
    pub(super) fn new(response: Response<Incoming>, connection: Connection, pool: Arc<Pool>) -> Self {
        let (head, incoming) = response.into_parts();
        let body = Some(Body { incoming, connection: Some(connection) });
        Self { status: head.status, headers: head.headers, body, pool }
    }

    /// The next piece of the body, never empty; `None` at its end.
    pub(crate) async fn chunk(&mut self) -> Result<Option<Bytes>, Broken> {
        poll_fn(|cx| self.poll_chunk(cx)).await
    }

    /// What [`Self::chunk`] waits for.
    pub(crate) fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, Broken>> {
        let Some(body) = &mut self.body else { return Poll::Ready(Ok(None)) };
        let piece = ready!(body.poll_piece(cx));
        if let Ok(None) = piece
            && let Some(connection) = self.body.take().and_then(Body::into_idle)
        {
            self.pool.put(Kept::Idle(connection));
        }
        Poll::Ready(piece)
    }

    /// Ends it here, all that matters being read. Upstreams often send the end of the body behind the end of what they
    /// say, in a packet of its own: nobody waits for it, and the connection serves the next call if it has come by then.
    pub(crate) fn done(&mut self) {
        match self.poll_chunk(&mut Context::from_waker(Waker::noop())) {
            Poll::Pending => {
                if let Some(body) = self.body.take() {
                    self.pool.put(Kept::Ending(body));
                }
            }
            Poll::Ready(_) => self.body = None,
        }
    }
}

impl Body {
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, Broken>> {
        let mut driven = false;
        loop {
            match Pin::new(&mut self.incoming).poll_frame(&mut Context::from_waker(Waker::noop())) {
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
                Poll::Ready(None) => return Poll::Ready(Ok(None)),
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

    /// Whether nothing but its end was still to come, and has.
    pub(super) fn has_ended(&mut self) -> bool {
        matches!(self.poll_piece(&mut Context::from_waker(Waker::noop())), Poll::Ready(Ok(None)))
    }

    /// The connection of a body that has ended.
    pub(super) fn into_idle(self) -> Option<Connection> {
        self.connection.and_then(|mut connection| connection.is_idle().then_some(connection))
    }
}
