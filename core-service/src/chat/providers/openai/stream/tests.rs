//! Streams over real sockets, whose upstreams write when the test says so.

use std::{sync::Arc, time::Duration};

use futures_util::StreamExt;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::coop::poll_proceed,
    time::{advance, timeout},
};
use triptych_proto::v1 as pb;
use url::Url;

use super::*;
use crate::{
    call::{Call, Chunks},
    chat::{ChatProvider, providers::openai::OpenAiChat},
    context::RequestContext,
    upstream::Limits,
};

const MINUTE: Duration = Duration::from_mins(1);
const BEGIN: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";

/// The event of one choice: with a finish reason, or with a text.
fn event(index: u32, finish: &str) -> String {
    let finish = if finish.is_empty() { "null".to_owned() } else { format!("\"{finish}\"") };
    format!(
        "data: {{\"choices\":[{{\"index\":{index},\"delta\":{{\"content\":\"a\"}},\"finish_reason\":{finish}}}]}}\n\n"
    )
}

/// A stream that has begun with these events, and the upstream's side of it. It may be silent for a minute and take five.
async fn begun(events: &str) -> (TcpStream, Chunks<ChatChunk>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = Url::parse(&format!("http://{}/v1", listener.local_addr().unwrap())).unwrap();
    let limits = Limits { connect: MINUTE, first_byte: MINUTE, idle: MINUTE };
    let provider = OpenAiChat::new(base, None, limits).unwrap();
    let call = Call {
        model: "m".to_owned(),
        request: Arc::new(pb::ChatRequest::default()),
        context: RequestContext { deadline: Some(Instant::now() + MINUTE * 5), ..RequestContext::default() },
    };
    let serve = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        assert_ne!(stream.read(&mut [0; 4096]).await.unwrap(), 0);
        stream.write_all(format!("{BEGIN}{events}").as_bytes()).await.unwrap();
        stream
    };
    let (upstream, pieces) = tokio::join!(serve, provider.stream(call, None));
    (upstream, pieces.unwrap())
}

/// How a stream of these events ends that is closed behind them.
async fn end(events: &[String]) -> Option<ProviderError> {
    let (upstream, mut pieces) = begun(&events.concat()).await;
    drop(upstream);
    while let Some(piece) = pieces.next().await {
        if let Err(error) = piece {
            return Some(error);
        }
    }
    None
}

#[tokio::test]
async fn a_stream_is_complete_when_every_choice_that_began_was_finished() {
    let (zero, one) = (event(0, ""), event(1, ""));
    let stop = |index| event(index, "stop");
    let done = "data: [DONE]\n\n".to_owned();
    let complete = [
        vec![zero.clone(), stop(0)],
        vec![zero.clone(), one.clone(), stop(1), stop(0)],
        // What comes behind a choice's end does not open it again: OpenRouter tells the usage so.
        vec![zero.clone(), stop(0), zero.clone(), done.clone()],
        vec![event(200, ""), stop(127)],
    ];
    for events in complete {
        assert_eq!(end(&events).await, None, "{events:#?}");
    }
    let broken = [
        vec![zero.clone()],
        vec![zero.clone(), one.clone(), stop(0)],
        vec![zero.clone(), one.clone(), stop(0), done.clone()],
        vec![stop(0), one.clone()],
        vec![zero.clone(), event(127, ""), stop(0)],
    ];
    for events in broken {
        assert_eq!(end(&events).await, Some(cut_off()), "{events:#?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_comment_breaks_the_silence_and_an_upstream_that_stops_them_is_given_up() {
    let (mut upstream, mut pieces) = begun(&event(0, "")).await;
    assert!(pieces.next().await.unwrap().is_ok());
    for _ in 0..4 {
        advance(MINUTE * 3 / 4).await;
        upstream.write_all(b": still here\n\n").await.unwrap();
        assert!(futures_util::poll!(pieces.next()).is_pending());
    }
    let silent = Instant::now();
    assert_eq!(pieces.next().await.unwrap().unwrap_err(), too_late());
    assert!(silent.elapsed() >= MINUTE, "{:?}", silent.elapsed());
}

/// Looks for a piece when this turn has work for so many reads left, none or one.
async fn look(pieces: &mut Chunks<ChatChunk>, reads: usize) -> Poll<Option<Result<ChatChunk, ProviderError>>> {
    poll_fn(|cx| {
        let mut last = None;
        while let Poll::Ready(step) = poll_proceed(cx) {
            if let Some(step) = last.replace(step) {
                step.made_progress();
            }
        }
        // One that made no progress is given back.
        if let Some(step) = last.filter(|_| reads == 0) {
            step.made_progress();
        }
        Poll::Ready(pieces.as_mut().poll_next(cx))
    })
    .await
}

#[tokio::test(start_paused = true)]
async fn a_first_look_at_the_end_of_a_turn_does_not_lose_the_limit() {
    let (_upstream, mut pieces) = begun(&event(0, "")).await;
    assert!(pieces.next().await.unwrap().is_ok());
    assert!(look(&mut pieces, 0).await.is_pending());
    // Somebody else's waking, of a timeout for instance, would hide that nothing of its own wakes the reader.
    let silent = Instant::now();
    assert_eq!(timeout(MINUTE * 2, pieces.next()).await.unwrap().unwrap().unwrap_err(), too_late());
    assert!(silent.elapsed() < MINUTE * 2, "{:?}", silent.elapsed());
}

#[tokio::test(start_paused = true)]
async fn an_upstream_that_is_always_ahead_of_its_reader_and_says_nothing_does_not_outlive_the_deadline() {
    let (mut upstream, mut pieces) = begun(&event(0, "")).await;
    assert!(pieces.next().await.unwrap().is_ok());
    let flood = vec![b'\n'; 128 << 10];
    upstream.write_all(&flood).await.unwrap();
    for _ in 0..4 {
        assert!(look(&mut pieces, 1).await.is_pending());
        upstream.write_all(&flood[..64 << 10]).await.unwrap();
        advance(MINUTE * 3 / 4).await;
    }
    advance(MINUTE * 3 / 4 * 3).await;
    let Poll::Ready(Some(Err(error))) = look(&mut pieces, 1).await else { panic!("it goes on") };
    assert_eq!(error, too_late());
}
