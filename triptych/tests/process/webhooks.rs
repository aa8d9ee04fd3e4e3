//! Webhooks across SIGKILL and restart: an event whose delivery was interrupted is delivered again with the same id.

#![expect(clippy::unwrap_used, reason = "a failure of a helper is a failure of the test")]

use std::{path::Path, time::Duration};

use tempfile::tempdir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    time::timeout,
};
use triptych_proto::v1::{
    self as pb, video_service_client::VideoServiceClient, webhook_delivery::State,
    webhook_service_client::WebhookServiceClient,
};

use crate::triptych_process::TriptychProcess;

/// Longest wait for a delivery: the lease of a killed process, and far more than a busy machine needs.
const TIMEOUT: Duration = Duration::from_mins(1);

fn start(dir: &Path) -> TriptychProcess {
    let settings = [("TRIPTYCH_WEBHOOKS_ALLOW_PRIVATE_ADDRESSES", "true"), ("TRIPTYCH_WEBHOOKS_TIMEOUT", "1s")];
    TriptychProcess::start(dir, &settings)
}

/// Waits for a delivery. Returns its connection and the id of its event.
async fn receive(listener: &TcpListener) -> (TcpStream, String) {
    let (mut connection, _) = timeout(TIMEOUT, listener.accept()).await.unwrap().unwrap();
    let mut request = Vec::new();
    while !request.ends_with(b"}}") {
        assert_ne!(connection.read_buf(&mut request).await.unwrap(), 0, "the request is incomplete");
    }
    let request = String::from_utf8(request).unwrap();
    let id = request.lines().find_map(|line| line.strip_prefix("webhook-id: ")).unwrap().to_owned();
    (connection, id)
}

#[tokio::test]
async fn interrupted_delivery_is_sent_again_after_sigkill_with_the_same_id() {
    let dir = tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = start(dir.path());
    let endpoint = pb::CreateWebhookEndpointRequest {
        url: format!("http://{}/hook", listener.local_addr().unwrap()),
        ..pb::CreateWebhookEndpointRequest::default()
    };
    let mut webhooks = WebhookServiceClient::new(server.channel().await);
    let endpoint = webhooks.create_webhook_endpoint(endpoint).await.unwrap().into_inner().endpoint.unwrap();
    let video = pb::CreateVideoRequest {
        prompt: "Pan left".to_owned(),
        size: "64x64".to_owned(),
        duration_seconds: Some(1),
        ..pb::CreateVideoRequest::default()
    };
    VideoServiceClient::new(server.channel().await).create_video(video).await.unwrap();
    let (_unanswered, first) = receive(&listener).await;
    server.kill();

    let server = start(dir.path());
    let (mut connection, second) = receive(&listener).await;
    assert_eq!(second, first);
    connection.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.unwrap();
    let mut webhooks = WebhookServiceClient::new(server.channel().await);
    let request =
        pb::ListWebhookDeliveriesRequest { endpoint_id: endpoint.id, ..pb::ListWebhookDeliveriesRequest::default() };
    let succeeded = async {
        loop {
            let page = webhooks.list_webhook_deliveries(request.clone()).await.unwrap().into_inner();
            assert_eq!(page.deliveries.len(), 1);
            if page.deliveries[0].state() == State::Succeeded {
                return page.deliveries[0].event_id.clone();
            }
        }
    };
    assert_eq!(timeout(TIMEOUT, succeeded).await.unwrap(), first);
}
