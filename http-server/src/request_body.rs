//! Request bodies. The rest of a body that the application does not read is discarded, within limits.

use std::{
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Version, header};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::timeout;

use crate::activity::Discarding;

/// The maximum number of unread bytes to discard. If the rest is longer, the connection closes after the response.
const MAX_DISCARDED: u64 = 16 << 20;
/// The maximum time for discarding the rest of a body.
const DISCARD_TIMEOUT: Duration = Duration::from_secs(10);

/// The body of a request, as it arrives.
#[derive(Debug)]
pub struct RequestBody {
    incoming: Option<Incoming>,
    /// Receives the body if this is dropped before its end. `None` for empty bodies, and for HTTP/2, where an unread stream does not
    /// block the connection.
    unread: Option<Arc<Unread>>,
}

/// The place where a dropped [`RequestBody`] leaves its unread rest.
#[derive(Debug)]
pub(crate) struct Unread {
    rest: Mutex<Option<Incoming>>,
    /// Whether the client still waits for `100 Continue`, which hyper sends at the first poll of the body.
    waits: AtomicBool,
}

/// The unread rest of a request body.
#[derive(Debug)]
pub(crate) enum UnreadRest {
    /// Can be discarded, after which the connection serves the next request.
    Short(Incoming),
    /// Longer than `MAX_DISCARDED`, or of unknown length: the connection closes after the response. The body is still read, within
    /// limits, so that the client is not blocked in sending it and reads the response.
    Long(Incoming),
    /// The client has not sent it and still waits for `100 Continue`: the connection closes instead.
    Unsent,
}

impl RequestBody {
    /// Wraps the body of a request. Also returns the place for its unread rest; `None` if it cannot have one.
    pub(crate) fn new(request: Request<Incoming>) -> (Request<Self>, Option<Arc<Unread>>) {
        let has_rest = request.version() < Version::HTTP_2 && !request.body().is_end_stream();
        let unread = has_rest.then(|| {
            let expect = request.headers().get(header::EXPECT);
            let waits = expect.is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"));
            Arc::new(Unread { rest: Mutex::default(), waits: AtomicBool::new(waits) })
        });
        let request = request.map(|incoming| Self { incoming: Some(incoming), unread: unread.clone() });
        (request, unread)
    }
}

impl Unread {
    /// Returns the rest of the body, if the application has dropped the body before its end.
    pub(crate) fn take(&self) -> Option<UnreadRest> {
        let incoming = self.rest.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        Some(if self.waits.load(Ordering::Relaxed) {
            UnreadRest::Unsent
        } else if incoming.size_hint().upper().is_some_and(|length| length <= MAX_DISCARDED) {
            UnreadRest::Short(incoming)
        } else {
            UnreadRest::Long(incoming)
        })
    }
}

/// Reads and discards a body, up to a length and a time. `_discarding` marks the connection meanwhile.
pub(crate) async fn discard(mut incoming: Incoming, _discarding: Discarding) {
    let mut discarded = 0;
    let reading = async {
        while let Some(Ok(frame)) = std::future::poll_fn(|cx| Pin::new(&mut incoming).poll_frame(cx)).await {
            discarded += frame.data_ref().map_or(0, |data| data.len() as u64);
            if discarded > MAX_DISCARDED {
                return;
            }
        }
    };
    // Either way the connection closes if the body has not ended.
    let _ = timeout(DISCARD_TIMEOUT, reading).await;
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        if let Some(unread) = &self.unread {
            unread.waits.store(false, Ordering::Relaxed);
        }
        let Some(incoming) = &mut self.incoming else { return Poll::Ready(None) };
        let frame = ready!(Pin::new(incoming).poll_frame(cx));
        // hyper does not report the end of a chunked body in `is_end_stream`.
        if !matches!(frame, Some(Ok(_))) {
            self.incoming = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        if let (Some(unread), Some(incoming)) = (&self.unread, self.incoming.take())
            && !incoming.is_end_stream()
        {
            *unread.rest.lock().unwrap_or_else(PoisonError::into_inner) = Some(incoming);
        }
    }
}
