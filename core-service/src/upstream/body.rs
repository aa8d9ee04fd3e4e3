//! The body of a response and the connection it arrives on.

use std::{
    mem,
    task::{Context, Poll, Waker, ready},
};

use super::{
    connection::Connection,
    framing::{Framing, Malformed},
};

/// A response body that is being read.
pub(super) struct Body {
    connection: Connection,
    framing: Framing,
    /// Whether the connection may serve another request after this body.
    keep_alive: bool,
    /// Bytes that arrived with the head and have not been lent yet.
    early: Vec<u8>,
}

/// The connection was lost, or the upstream violated HTTP/1.1, before the end of the response.
#[derive(Debug, thiserror::Error)]
#[error("the connection to the upstream broke")]
pub(crate) struct ConnectionLost;

impl Body {
    /// Creates the body that follows a head; `early` are the bytes that arrived behind the head.
    pub(super) fn new(mut connection: Connection, framing: Framing, keep_alive: bool, early: Vec<u8>) -> Self {
        connection.last_was_chunked = matches!(framing, Framing::Chunked(_));
        Self { connection, framing, keep_alive, early }
    }

    /// Lends the data that has arrived to `read`, in one or several calls. Returns `false` at the end of the body, without
    /// a call of `read`.
    pub(super) fn poll_data(
        &mut self,
        cx: &mut Context<'_>,
        mut read: impl FnMut(&[u8]),
    ) -> Poll<Result<bool, ConnectionLost>> {
        let Self { connection, framing, keep_alive, early } = self;
        let mut lent = lend(framing, keep_alive, &mem::take(early), &mut read);
        while lent == Ok(false) && !framing.has_ended() {
            let result = connection.poll_read(cx, |bytes| {
                if bytes.is_empty() {
                    framing.close().map(|()| false)
                } else {
                    lend(framing, keep_alive, bytes, &mut read)
                }
            });
            lent = ready!(result).unwrap_or_else(|error| {
                tracing::debug!(%error, "the connection to the upstream broke");
                Err(Malformed)
            });
        }
        Poll::Ready(lent.map_err(|Malformed| ConnectionLost))
    }

    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Returns whether the end of the body has arrived and no data before it.
    pub(super) fn has_ended(&mut self) -> bool {
        matches!(self.poll_data(&mut Context::from_waker(Waker::noop()), |_| {}), Poll::Ready(Ok(false)))
    }

    /// Returns the connection of a body that has ended, if it can serve another request.
    pub(super) fn into_idle(mut self) -> Option<Connection> {
        (self.keep_alive && self.connection.is_idle()).then_some(self.connection)
    }
}

/// Lends the data among these bytes to `read`; returns whether there was any.
fn lend(
    framing: &mut Framing,
    keep_alive: &mut bool,
    mut bytes: &[u8],
    read: &mut impl FnMut(&[u8]),
) -> Result<bool, Malformed> {
    let mut some = false;
    let result = loop {
        match framing.next_data(&mut bytes) {
            Ok(Some(data)) => read(data),
            Ok(None) => break Ok(()),
            Err(Malformed) => break Err(Malformed),
        }
        some = true;
    };
    // Trailing bytes after the response make the connection unusable.
    *keep_alive &= bytes.is_empty();
    // Data before a protocol error is complete and may matter; the next read reports the error.
    if some { Ok(true) } else { result.map(|()| false) }
}
