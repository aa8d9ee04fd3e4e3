//! One HTTP/2 connection to a core.

use std::{
    future::{Future, poll_fn},
    io,
    pin::{Pin, pin},
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use h2::{
    Ping, PingPong,
    client::{self, SendRequest},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::{Instant, Sleep, sleep_until},
};

use super::{address::CoreAddress, joined_writes::JoinedWrites};

/// How long nothing may be received before a ping is sent, and how long nothing may be received after it before the connection is
/// closed; the next call opens another one.
const KEEP_ALIVE: Duration = Duration::from_secs(20);
/// Flow-control window of one stream: some thousand chat chunks for a client that does not read.
const STREAM_WINDOW: u32 = 256 << 10;
/// Flow-control window of the connection: the protocol's maximum, so that only the windows of the streams apply. h2 also
/// derives a limit from it: it closes a connection, with every call on it, when the overhead of buffered small frames
/// reaches half of this window, and each token is a small frame. With the protocol's default, one client lagging 150
/// tokens behind would abort the calls of all others.
const CONNECTION_WINDOW: u32 = (1 << 31) - 1;
/// Maximum payload of a frame from the core: four times the default of HTTP/2, so that the parts of a file need a quarter of the frames.
const MAX_FRAME: u32 = 64 << 10;
/// Maximum length of the headers of a response. An error may have details.
const MAX_HEADER_LIST: u32 = 64 << 10;

/// Opens a connection. A task of the present runtime then drives it until it is closed: by the core, because the core does not
/// acknowledge a ping, or because nothing refers to it any more, neither a clone of the returned sender nor a call.
pub(super) async fn open(address: &CoreAddress) -> io::Result<SendRequest<Bytes>> {
    start(address.open().await?).await
}

/// Begins HTTP/2 on a socket, and the task of the connection.
async fn start<I>(io: I) -> io::Result<SendRequest<Bytes>>
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let socket = JoinedWrites::new(io);
    let mut builder = client::Builder::new();
    builder
        .enable_push(false)
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_frame_size(MAX_FRAME)
        .max_header_list_size(MAX_HEADER_LIST);
    let (sender, connection) = builder.handshake(socket.clone()).await.map_err(io::Error::other)?;
    tokio::spawn(drive(connection, socket));
    Ok(sender)
}

/// Sends and receives frames until the connection is closed. The calls that are then in flight fail.
async fn drive<I>(mut connection: client::Connection<JoinedWrites<I>, Bytes>, socket: JoinedWrites<I>)
where
    I: AsyncRead + AsyncWrite + Unpin,
{
    let mut keep_alive = KeepAlive::new(connection.ping_pong());
    poll_fn(|cx| {
        loop {
            let ended = pin!(&mut connection).poll(cx);
            let sent = socket.poll_send(cx);
            if let Poll::Ready(ended) = ended {
                if let Err(error) = ended {
                    tracing::debug!(%error, "the connection to the core failed");
                }
                return Poll::Ready(());
            }
            if let Poll::Ready(Err(error)) = sent {
                tracing::debug!(%error, "cannot write to the core");
                return Poll::Ready(());
            }
            match keep_alive.poll_due(socket.last_read(), cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Due::Ping) => {}
                Poll::Ready(Due::Close) => {
                    tracing::warn!("the core does not answer; its connection is closed");
                    return Poll::Ready(());
                }
            }
        }
    })
    .await;
}

/// What [`KeepAlive`] found out.
enum Due {
    /// A ping was queued, which the connection has to send.
    Ping,
    /// The last ping was not acknowledged.
    Close,
}

/// The pings of a connection.
struct KeepAlive {
    pings: Option<PingPong>,
    /// When the last ping was sent, if it is not known to be acknowledged.
    pinged: Option<Instant>,
    timer: Pin<Box<Sleep>>,
}

impl KeepAlive {
    fn new(pings: Option<PingPong>) -> Self {
        Self { pings, pinged: None, timer: Box::pin(sleep_until(Instant::now() + KEEP_ALIVE)) }
    }

    /// Sends the pings that are due. `last_read` is when bytes were received last: any bytes prove that the core is there, not only
    /// the acknowledgement of a ping. The timer is reset only when it fires, because nearly every call postpones it.
    fn poll_due(&mut self, last_read: Instant, cx: &mut Context<'_>) -> Poll<Due> {
        loop {
            ready!(self.timer.as_mut().poll(cx));
            if self.pinged.take().is_some_and(|pinged| last_read < pinged) {
                return Poll::Ready(Due::Close);
            }
            let (now, idle_at) = (Instant::now(), last_read + KEEP_ALIVE);
            if now < idle_at {
                self.timer.as_mut().reset(idle_at);
                continue;
            }
            let Some(pings) = &mut self.pings else { return Poll::Pending };
            // The acknowledgement of the previous ping must be read before the next one is sent.
            let _ = pings.poll_pong(cx);
            if let Err(error) = pings.send_ping(Ping::opaque()) {
                tracing::debug!(%error, "cannot send a ping to the core");
            }
            self.pinged = Some(now);
            self.timer.as_mut().reset(now + KEEP_ALIVE);
            return Poll::Ready(Due::Ping);
        }
    }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn idle_connection_stays_open_while_pings_are_acknowledged_and_closes_when_one_is_not() {
        let (client, server) = tokio::io::duplex(1 << 16);
        let began = Instant::now();
        let serving = async {
            let mut server = h2::server::handshake(server).await.unwrap();
            // Acknowledges pings for this long, and then stops, because nothing polls the connection any more.
            let limit = tokio::time::sleep(10 * KEEP_ALIVE);
            tokio::select! {
                _ = server.accept() => panic!("the connection was closed"),
                () = limit => server,
            }
        };
        let (sender, server) = tokio::join!(start(client), serving);
        let mut sender = sender.unwrap();
        poll_fn(|cx| sender.poll_ready(cx)).await.unwrap();
        // A call, whose failure shows that the connection was closed.
        let (response, _) = sender.send_request(Request::new(()), true).unwrap();
        assert!(response.await.is_err());
        let silent = began.elapsed().checked_sub(10 * KEEP_ALIVE).unwrap();
        assert!((KEEP_ALIVE..=2 * KEEP_ALIVE).contains(&silent), "{silent:?}");
        drop(server);
    }
}
