//! Tests of the event stream with streams of numbers.

use std::future::poll_fn;

use futures_util::stream;
use http_body_util::BodyExt;
use tokio::{sync::mpsc, task::coop::poll_proceed};

use super::*;

/// Encodes numbers, and ends the response after `last`.
struct Numbers {
    last: Option<u32>,
}

impl EventEncoder for Numbers {
    type Item = u32;

    fn encode(&mut self, number: u32, out: &mut BytesMut) -> ControlFlow<()> {
        Event { name: None, id: None, data: number.to_string().as_bytes() }.write(out);
        if self.last == Some(number) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn encode_end(&mut self, out: &mut BytesMut) {
        Event { name: None, id: None, data: b"[DONE]" }.write(out);
    }
}

fn body(items: impl Stream<Item = u32> + Send + 'static) -> Body {
    response(items.map(Ok::<_, GatewayError>), Numbers { last: None }, HEARTBEAT_AFTER).into_body()
}

async fn frame(body: &mut Body) -> Option<Bytes> {
    Some(body.frame().await?.unwrap().into_data().unwrap())
}

fn channel() -> (mpsc::UnboundedSender<u32>, impl Stream<Item = u32> + Send) {
    let (send, receive) = mpsc::unbounded_channel();
    (send, stream::unfold(receive, async |mut receive| receive.recv().await.map(|item| (item, receive))))
}

/// The silence after which a heartbeat is sent. Tests that wait for it run with a paused clock.
const HEARTBEAT_AFTER: Duration = Duration::from_secs(15);

#[tokio::test]
async fn events_ready_together_share_one_frame_with_the_end() {
    let items = stream::iter([1, 2]).map(Ok::<_, GatewayError>);
    let response = response(items, Numbers { last: None }, HEARTBEAT_AFTER);
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    assert_eq!(response.headers()["x-accel-buffering"], "no");
    let mut body = response.into_body();
    assert_eq!(frame(&mut body).await.unwrap(), "data: 1\n\ndata: 2\n\ndata: [DONE]\n\n");
    assert!(body.is_end_stream());
    assert_eq!(frame(&mut body).await, None);
}

#[tokio::test]
async fn an_event_does_not_wait_for_the_next_one() {
    let (send, items) = channel();
    let mut body = body(items);
    send.send(1).unwrap();
    assert_eq!(frame(&mut body).await.unwrap(), "data: 1\n\n");
    send.send(2).unwrap();
    assert_eq!(frame(&mut body).await.unwrap(), "data: 2\n\n");
}

#[tokio::test]
async fn frame_length_is_bounded() {
    let mut body = body(stream::iter(0..100_000));
    let mut all = Vec::new();
    while let Some(data) = frame(&mut body).await {
        assert!(data.len() < MAX_FRAME + 64);
        all.extend_from_slice(&data);
    }
    let all = String::from_utf8(all).unwrap();
    let events = all.strip_suffix("data: [DONE]\n\n").unwrap().split_terminator("\n\n");
    assert!(events.eq((0..100_000).map(|number| format!("data: {number}"))));
}

#[tokio::test(start_paused = true)]
async fn heartbeat_is_sent_after_exactly_the_heartbeat_interval() {
    let (send, items) = channel();
    let mut body = body(items);
    let start = Instant::now();
    assert_eq!(frame(&mut body).await.unwrap(), HEARTBEAT);
    assert_eq!(start.elapsed().as_secs(), 15);
    tokio::time::advance(Duration::from_secs(10)).await;
    send.send(1).unwrap();
    assert_eq!(frame(&mut body).await.unwrap(), "data: 1\n\n");
    let last_event = Instant::now();
    assert_eq!(frame(&mut body).await.unwrap(), HEARTBEAT);
    assert_eq!(last_event.elapsed().as_secs(), 15);
}

#[tokio::test(start_paused = true)]
async fn heartbeat_is_sent_when_the_first_poll_has_no_coop_budget() {
    let (_send, items) = channel();
    let mut body = body(items);
    poll_fn(|cx| {
        while let Poll::Ready(step) = poll_proceed(cx) {
            step.made_progress();
        }
        assert!(Pin::new(&mut body).poll_frame(cx).is_pending());
        Poll::Ready(())
    })
    .await;
    assert_eq!(timeout(HEARTBEAT_AFTER * 2, frame(&mut body)).await.unwrap().unwrap(), HEARTBEAT);
}

#[tokio::test]
async fn encoder_that_breaks_ends_the_response_and_drops_the_stream() {
    let (send, items) = channel();
    let items = items.map(Ok::<_, GatewayError>);
    let mut body = response(items, Numbers { last: Some(1) }, HEARTBEAT_AFTER).into_body();
    send.send(1).unwrap();
    assert_eq!(frame(&mut body).await.unwrap(), "data: 1\n\n");
    assert_eq!(frame(&mut body).await, None);
    assert!(send.is_closed());
}

#[tokio::test]
async fn error_before_the_first_item_is_returned() {
    let failing = stream::iter([Err::<u32, _>(Status::not_found("x"))]).boxed();
    assert_eq!(peek_first_item(failing, HEARTBEAT_AFTER).await.err().unwrap().code(), tonic::Code::NotFound);
    let fine = stream::iter([Ok(1), Err(Status::not_found("x"))]).boxed();
    let items: Vec<_> = peek_first_item(fine, HEARTBEAT_AFTER).await.unwrap().map(|item| item.is_ok()).collect().await;
    assert_eq!(items, [true, false]);
}

#[tokio::test(start_paused = true)]
async fn slow_stream_is_returned_after_max_wait() {
    let start = Instant::now();
    assert!(peek_first_item(stream::pending::<Result<u32, Status>>().boxed(), HEARTBEAT_AFTER).await.is_ok());
    assert_eq!(start.elapsed(), HEARTBEAT_AFTER);
}

#[tokio::test]
async fn error_becomes_the_last_event() {
    let items = stream::iter([Ok(1), Err(GatewayError::not_found("/x")), Ok(2)]);
    let mut body = response(items, Numbers { last: None }, HEARTBEAT_AFTER).into_body();
    let text = frame(&mut body).await.unwrap();
    let text = std::str::from_utf8(&text).unwrap();
    assert!(text.starts_with("data: 1\n\nevent: error\ndata: {\"error\":{"), "{text}");
    assert!(text.ends_with("}}\n\n") && !text.contains("data: 2"), "{text}");
    assert_eq!(frame(&mut body).await, None);
}

#[test]
fn event_has_name_id_and_data_in_this_order() {
    let mut out = BytesMut::new();
    Event { name: Some("n"), id: Some(7), data: b"{}" }.write(&mut out);
    assert_eq!(out, "event: n\nid: 7\ndata: {}\n\n");
}
