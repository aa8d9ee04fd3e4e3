//! Webhooks across SIGKILL and restart: an event whose delivery was interrupted is delivered again with the same id. Webhooks
//! across a reload: events are sent to the endpoints of the new configuration, signed with its secrets.

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

const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

fn start(dir: &Path) -> TriptychProcess {
    let settings = [("TRIPTYCH_WEBHOOKS_ALLOW_PRIVATE_ADDRESSES", "true"), ("TRIPTYCH_WEBHOOKS_TIMEOUT", "1s")];
    TriptychProcess::start(dir, &settings)
}

/// Waits for a delivery. Returns its connection and the request.
async fn receive(listener: &TcpListener) -> (TcpStream, String) {
    let (mut connection, _) = timeout(TIMEOUT, listener.accept()).await.unwrap().unwrap();
    let mut request = Vec::new();
    // The JSON of every event ends with that of its member `data`.
    while !request.ends_with(b"}}") {
        assert_ne!(connection.read_buf(&mut request).await.unwrap(), 0, "the request is incomplete");
    }
    (connection, String::from_utf8(request).unwrap())
}

/// Returns a header of a request.
fn header<'a>(request: &'a str, name: &str) -> &'a str {
    request.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": ")).unwrap()
}

/// Waits for a delivery and accepts it. Returns the event and the number of its signatures.
async fn accept(listener: &TcpListener) -> (String, usize) {
    let (mut connection, request) = receive(listener).await;
    connection.write_all(OK).await.unwrap();
    let event = request.split_once("\r\n\r\n").unwrap().1.to_owned();
    (event, header(&request, "webhook-signature").split(' ').count())
}

/// Creates a video that renders quickly; with a model other than the default (`""`), one that fails. Returns its id.
async fn create(server: &TriptychProcess, model: &str) -> String {
    let video = pb::CreateVideoRequest {
        prompt: "Pan left".to_owned(),
        model: model.to_owned(),
        size: "64x64".to_owned(),
        duration_seconds: Some(1),
        ..pb::CreateVideoRequest::default()
    };
    let mut videos = VideoServiceClient::new(server.channel().await);
    videos.create_video(video).await.unwrap().into_inner().video.unwrap().id
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
    create(&server, "").await;
    let (_unanswered, first) = receive(&listener).await;
    let first = header(&first, "webhook-id");
    server.kill();

    let server = start(dir.path());
    let (mut connection, second) = receive(&listener).await;
    assert_eq!(header(&second, "webhook-id"), first);
    connection.write_all(OK).await.unwrap();
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

#[tokio::test]
async fn hangup_reloads_the_endpoints_with_their_secrets_and_events() {
    const FIRST: &str = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=";
    const SECOND: &str = "whsec_MTEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=";
    let dir = tempdir().unwrap();
    let (a, b) = (TcpListener::bind("127.0.0.1:0").await.unwrap(), TcpListener::bind("127.0.0.1:0").await.unwrap());
    let write = |listener: &TcpListener, endpoint: &str, webhooks: &str| {
        let address = listener.local_addr().unwrap();
        let text =
            format!("[webhooks]\n{webhooks}\n[[webhooks.endpoints]]\nurl = 'http://{address}/in?key=k1'\n{endpoint}");
        std::fs::write(dir.path().join("triptych.toml"), text).unwrap();
    };
    write(&a, &format!("secret = '{FIRST}'"), "");
    let server = start(dir.path());
    let line = format!("  hooks  events of all videos are sent to {}\n", a.local_addr().unwrap());
    assert!(server.banner.contains(&line), "{}", server.banner);
    assert!(!server.banner.contains("whsec_") && !server.banner.contains("k1"), "{}", server.banner);
    let video = create(&server, "").await;
    let (event, signatures) = accept(&a).await;
    assert!(event.contains(&video) && event.contains("video.completed"), "{event}");
    assert_eq!(signatures, 1);

    write(&a, &format!("secret = '{SECOND}'\nprevious_secret = '{FIRST}'\nevents = ['video.failed']"), "");
    server.signal("HUP");
    server.wait_for_log("reloaded the configuration");
    let failing_model = "offline-video-fault-refused";
    let video = create(&server, failing_model).await;
    let (event, signatures) = accept(&a).await;
    assert!(event.contains(&video) && event.contains("video.failed"), "{event}");
    assert_eq!(signatures, 2, "the new secret and the previous one");

    write(&b, &format!("secret = '{SECOND}'"), "max_in_flight = 7");
    server.signal("HUP");
    server.wait_for_log("need a restart: webhooks.max_in_flight");
    let video = create(&server, failing_model).await;
    let (event, signatures) = accept(&b).await;
    assert!(event.contains(&video), "{event}");
    assert_eq!(signatures, 1);

    // Nothing was sent to the endpoint that is gone.
    let mut webhooks = WebhookServiceClient::new(server.channel().await);
    let listed =
        webhooks.list_webhook_endpoints(pb::ListWebhookEndpointsRequest::default()).await.unwrap().into_inner();
    let urls: Vec<_> = listed.endpoints.iter().map(|endpoint| endpoint.url.as_str()).collect();
    assert_eq!(urls, [format!("http://{}/in?key=k1", b.local_addr().unwrap())]);
    let of_video = pb::ListWebhookDeliveriesRequest { video_id: video, ..pb::ListWebhookDeliveriesRequest::default() };
    let page = webhooks.list_webhook_deliveries(of_video).await.unwrap().into_inner();
    assert_eq!(page.deliveries.len(), 1);
    assert_eq!(page.deliveries[0].endpoint_id, listed.endpoints[0].id);
}
