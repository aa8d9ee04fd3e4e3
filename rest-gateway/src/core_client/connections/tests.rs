//! Tests of the connections with a [`TestCore`], an HTTP/2 server.

use std::{
    future::Future,
    net::SocketAddr,
    sync::atomic::{AtomicUsize, Ordering},
};

use h2::{Reason, server::SendResponse};
use http::{HeaderMap, StatusCode};
use http_body_util::{BodyExt, Full};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Notify,
};
use tonic::Code;

use super::*;

/// How a [`TestCore`] responds.
#[derive(Debug, Clone, Copy)]
enum Behaviour {
    /// With the message of the request, and the status OK.
    Echo,
    /// With the message of the request, and a reset.
    Reset,
    /// With [`Echo`](Self::Echo), after which the connection takes no further calls.
    GoAway,
}

/// A server of HTTP/2.
struct TestCore {
    address: SocketAddr,
    behaviour: Behaviour,
    /// The number of accepted connections.
    accepted: AtomicUsize,
    /// Notified when a connection has ended.
    ended: Notify,
}

impl TestCore {
    async fn start(behaviour: Behaviour) -> Arc<Self> {
        Self::start_at(TcpListener::bind("127.0.0.1:0").await.unwrap(), behaviour)
    }

    fn start_at(listener: TcpListener, behaviour: Behaviour) -> Arc<Self> {
        let address = listener.local_addr().unwrap();
        let core = Arc::new(Self { address, behaviour, accepted: AtomicUsize::new(0), ended: Notify::new() });
        let serving = core.clone();
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                serving.accepted.fetch_add(1, Ordering::Relaxed);
                let serving = serving.clone();
                tokio::spawn(async move {
                    serving.serve(socket).await;
                    serving.ended.notify_one();
                });
            }
        });
        core
    }

    async fn serve(&self, socket: TcpStream) {
        let mut connection =
            h2::server::Builder::new().initial_window_size(1 << 16).handshake::<_, Bytes>(socket).await.unwrap();
        while let Some(Ok((request, respond))) = connection.accept().await {
            if let Behaviour::GoAway = self.behaviour {
                connection.graceful_shutdown();
            }
            tokio::spawn(respond_to(request, respond, self.behaviour));
        }
    }

    fn connections(&self) -> CoreConnections {
        let address = CoreAddress::parse(&format!("http://{}", self.address), None).unwrap();
        CoreConnections::new(address, Duration::from_secs(5))
    }

    fn accepted(&self) -> usize {
        self.accepted.load(Ordering::Relaxed)
    }
}

async fn respond_to(request: Request<h2::RecvStream>, mut respond: SendResponse<Bytes>, behaviour: Behaviour) {
    let mut body = request.into_body();
    let mut message = Vec::new();
    while let Some(data) = body.data().await {
        let data = data.unwrap();
        body.flow_control().release_capacity(data.len()).unwrap();
        message.extend_from_slice(&data);
    }
    let mut stream = respond.send_response(Response::new(()), false).unwrap();
    stream.send_data(message.into(), false).unwrap();
    match behaviour {
        Behaviour::Echo | Behaviour::GoAway => {
            let trailers = HeaderMap::from_iter([(http::HeaderName::from_static("grpc-status"), "0".parse().unwrap())]);
            stream.send_trailers(trailers).unwrap();
        }
        Behaviour::Reset => {
            // Waits until the message is sent: a reset would discard it.
            let _ = poll_fn(|cx| {
                stream.reserve_capacity(1);
                stream.poll_capacity(cx)
            })
            .await;
            stream.send_reset(Reason::CANCEL);
        }
    }
}

/// Sends a call and returns its head and body.
async fn call(connections: &CoreConnections, message: Vec<u8>) -> Result<(StatusCode, Bytes), Status> {
    let request = Request::post("/service/Method").body(Body::new(Full::from(message).map_err(|never| match never {})));
    let response = connections.clone().call(request.unwrap()).await?;
    let status = response.status();
    let collected = response.into_body().collect().await?;
    assert_eq!(collected.trailers().unwrap()["grpc-status"], "0");
    Ok((status, collected.to_bytes()))
}

async fn within_timeout<T>(future: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(10), future).await.expect("timeout")
}

#[tokio::test]
async fn calls_of_one_runtime_share_a_connection_and_another_runtime_has_its_own() {
    let core = TestCore::start(Behaviour::Echo).await;
    let connections = core.connections();
    let calls = (0..20).map(|number| call(&connections, vec![number; 10]));
    for (number, response) in (0..).zip(futures_util::future::join_all(calls).await) {
        assert_eq!(response.unwrap(), (StatusCode::OK, vec![number; 10].into()));
    }
    assert_eq!(core.accepted(), 1);
    let others = connections.clone();
    let other = tokio::task::spawn_blocking(move || {
        let runtime = runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(call(&others, vec![1])).unwrap();
    });
    other.await.unwrap();
    assert_eq!(core.accepted(), 2);
}

#[tokio::test]
async fn message_longer_than_all_windows_and_buffers_arrives() {
    let core = TestCore::start(Behaviour::Echo).await;
    let message = (0..5_000_000_u32).map(|number| number.to_le_bytes()[1]).collect::<Vec<_>>();
    let (_, echo) = within_timeout(call(&core.connections(), message.clone())).await.unwrap();
    assert!(echo == message);
}

#[tokio::test]
async fn connection_that_takes_no_further_calls_is_replaced_without_a_failed_call() {
    let core = TestCore::start(Behaviour::GoAway).await;
    let connections = core.connections();
    for count in 1..=5 {
        within_timeout(call(&connections, vec![1])).await.unwrap();
        within_timeout(core.ended.notified()).await;
        assert_eq!(core.accepted(), count);
    }
}

#[tokio::test]
async fn reset_response_is_an_error_and_not_the_end_of_the_response() {
    let core = TestCore::start(Behaviour::Reset).await;
    let error = within_timeout(call(&core.connections(), vec![1])).await.unwrap_err();
    assert_eq!(error.code(), Code::Cancelled);
}

#[tokio::test]
async fn connection_closes_when_nothing_refers_to_it() {
    let core = TestCore::start(Behaviour::Echo).await;
    let connections = core.connections();
    call(&connections, vec![1]).await.unwrap();
    drop(connections);
    within_timeout(core.ended.notified()).await;
}

#[tokio::test]
async fn calls_fail_while_the_core_cannot_be_reached_and_succeed_once_it_can() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let address = CoreAddress::parse(&format!("http://{closed}"), None).unwrap();
    let connections = CoreConnections::new(address, Duration::from_secs(5));
    let calls = (0..3).map(|_| call(&connections, vec![1]));
    for response in futures_util::future::join_all(calls).await {
        assert_eq!(response.unwrap_err().code(), Code::Unavailable);
    }
    let _core = TestCore::start_at(TcpListener::bind(closed).await.unwrap(), Behaviour::Echo);
    call(&connections, vec![1]).await.unwrap();
}
