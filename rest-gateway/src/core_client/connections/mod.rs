//! The connections to a core, as the transport of the generated clients.

use std::{
    collections::HashMap,
    fmt,
    future::poll_fn,
    io,
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use futures_util::{
    FutureExt,
    future::{BoxFuture, Shared},
};
use h2::client::SendRequest;
use http::{HeaderValue, Request, Response, Uri, Version, header, request, uri};
use http_body::Body as _;
use tokio::{
    runtime::{self, Handle},
    time::timeout,
};
use tonic::{Status, body::Body};
use tower::Service;

use super::{address::CoreAddress, connection, deadline, response_body::ResponseBody};

/// `user-agent` of the calls.
const USER_AGENT: HeaderValue = HeaderValue::from_static(concat!("triptych-gateway/", env!("CARGO_PKG_VERSION")));

/// The sender of a connection, once it is open. Calls that wait for the same connection share its failure.
type Opening = Shared<BoxFuture<'static, Result<SendRequest<Bytes>, Arc<io::Error>>>>;

/// The connections to one core: one for each runtime that calls it, opened by its first call, and replaced after its end. Clones
/// share them.
///
/// Each thread that serves clients has a runtime. With a connection of its own, a call and its response stay on the thread: no other
/// thread has to be woken, which costs as much as the call, and no lock is contended.
///
/// A request has one message: no method of the protobuf API takes a stream.
#[derive(Clone)]
pub(super) struct CoreConnections(Arc<Pool>);

struct Pool {
    address: CoreAddress,
    connect_timeout: Duration,
    /// The connection of a runtime that has ended is closed; the next runtime with the same id replaces it.
    by_runtime: Mutex<HashMap<runtime::Id, Opening>>,
}

impl fmt::Debug for CoreConnections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CoreConnections").field(&self.0.address).finish()
    }
}

impl CoreConnections {
    /// Opens no connection.
    pub(super) fn new(address: CoreAddress, connect_timeout: Duration) -> Self {
        Self(Arc::new(Pool { address, connect_timeout, by_runtime: Mutex::default() }))
    }

    fn by_runtime(&self) -> MutexGuard<'_, HashMap<runtime::Id, Opening>> {
        self.0.by_runtime.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the connection of the present runtime, which may still be opening.
    fn opening(&self) -> Opening {
        let mut by_runtime = self.by_runtime();
        let entry = by_runtime.entry(Handle::current().id());
        let opening = entry.or_insert_with(|| {
            let (address, limit) = (self.0.address.clone(), self.0.connect_timeout);
            let opened = async move {
                let opened = timeout(limit, connection::open(&address)).await;
                opened.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())).map_err(Arc::new)
            };
            opened.boxed().shared()
        });
        opening.clone()
    }

    /// Forgets a connection that cannot be used, unless another call has replaced it already. Calls on it may continue.
    fn discard(&self, unusable: &Opening) {
        let mut by_runtime = self.by_runtime();
        let id = Handle::current().id();
        if by_runtime.get(&id).is_some_and(|opening| opening.ptr_eq(unusable)) {
            drop(by_runtime.remove(&id));
        }
    }

    /// Returns a sender that can take a call now. An open connection may have ended since the last call, or take no further calls
    /// because the core is going to close it: then another one is opened, once.
    async fn sender(&self) -> Result<SendRequest<Bytes>, Status> {
        let mut is_retry = false;
        loop {
            let opening = self.opening();
            let opened = match opening.peek() {
                Some(opened) => opened.clone(),
                None => opening.clone().await,
            };
            let error = match opened {
                Err(error) => error,
                Ok(mut sender) => match poll_fn(|cx| sender.poll_ready(cx)).await {
                    Ok(()) => return Ok(sender),
                    Err(_) if !is_retry => {
                        self.discard(&opening);
                        is_retry = true;
                        continue;
                    }
                    Err(error) => Arc::new(io::Error::other(error)),
                },
            };
            self.discard(&opening);
            let mut status = Status::unavailable(format!("cannot connect to the core: {error}"));
            status.set_source(error);
            return Err(status);
        }
    }

    /// Sends a call and returns its response once the head is there. Dropping the future, or the body of the response before its
    /// end, cancels the call.
    async fn send(self, request: Request<Body>) -> Result<Response<ResponseBody>, Status> {
        let (mut parts, body) = request.into_parts();
        let message = read_message(body).await?;
        self.complete_head(&mut parts)?;
        let mut sender = self.sender().await?;
        let (response, mut stream) = sender.send_request(Request::from_parts(parts, ()), false).map_err(from_h2)?;
        // h2 keeps what the flow-control windows do not admit yet. `send_data` fails if the call has ended; then `response` fails too.
        let _ = stream.send_data(message, true);
        Ok(response.await.map_err(from_h2)?.map(ResponseBody::new))
    }

    /// Adds to the head what a generated client leaves to the transport.
    fn complete_head(&self, parts: &mut request::Parts) -> Result<(), Status> {
        let mut uri = uri::Parts::default();
        uri.scheme = Some(self.0.address.scheme.clone());
        uri.authority = Some(self.0.address.authority.clone());
        uri.path_and_query = parts.uri.path_and_query().cloned();
        parts.uri = Uri::from_parts(uri).map_err(|error| Status::internal(format!("URI of a call: {error}")))?;
        parts.version = Version::HTTP_2;
        parts.headers.insert(header::USER_AGENT, USER_AGENT);
        Ok(())
    }
}

/// Returns the only message of a call, with its length prefix. It is encoded at the first poll.
async fn read_message(body: Body) -> Result<Bytes, Status> {
    let mut body = pin!(body);
    let mut message = Bytes::new();
    while let Some(frame) = poll_fn(|cx| body.as_mut().poll_frame(cx)).await {
        if let Ok(data) = frame?.into_data() {
            message = if message.is_empty() { data } else { [message, data].concat().into() };
        }
    }
    Ok(message)
}

/// Returns the status of a call that the connection ended. It has h2's error as its source; a status of the core has none.
fn from_h2(error: h2::Error) -> Status {
    Status::from_error(error.into())
}

impl Service<Request<Body>> for CoreConnections {
    type Response = Response<ResponseBody>;
    type Error = Status;
    type Future = BoxFuture<'static, Result<Response<ResponseBody>, Status>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let limit = deadline::of(request.headers());
        let sent = self.clone().send(request);
        match limit {
            None => Box::pin(sent),
            // The core ends the call as well. This covers a core that does not answer.
            Some(limit) => Box::pin(async move {
                timeout(limit, sent)
                    .await
                    .unwrap_or_else(|_| Err(Status::deadline_exceeded("the deadline of the call was exceeded")))
            }),
        }
    }
}

#[cfg(test)]
mod tests;
