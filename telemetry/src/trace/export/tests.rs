//! The export of spans to a collector. One that is slow or dead delays neither calls nor the shutdown.

use std::{
    future::Future,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::mpsc::{Receiver, Sender, channel},
    time::Instant,
};

use opentelemetry::trace::SpanKind;
use tokio::{
    runtime::Builder,
    task::{spawn_blocking, yield_now},
    time::timeout,
};

use super::*;
use crate::trace::{OpenSpan, TraceParent, names};

/// Longest wait for anything that must happen.
const TIMEOUT: Duration = Duration::from_mins(1);
/// The time limit of a shutdown, far below that of a request.
const FLUSH: Duration = Duration::from_millis(300);
/// Longest duration of a shutdown on a busy machine.
const MAX_SHUTDOWN: Duration = Duration::from_secs(20);

/// Runs `test` on a runtime with a single worker thread, as on a machine with one CPU.
fn on_one_worker(test: impl Future<Output = ()> + Send + 'static) {
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(async { tokio::spawn(timeout(TIMEOUT, test)).await.unwrap().unwrap() });
}

fn settings(endpoint: String) -> ExportSettings {
    // Fails from the second test of a process on.
    let _ = rustls::crypto::ring::default_provider().install_default();
    ExportSettings { endpoint: Some(endpoint), timeout: TIMEOUT, interval: Duration::from_millis(1) }
}

/// Listens for one connection after the other, and gives each to `serve`.
fn collector(serve: impl Fn(TcpStream, &Sender<String>) + Send + 'static) -> (String, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let (sender, received) = channel();
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            serve(connection.unwrap(), &sender);
        }
    });
    (endpoint, received)
}

/// Reads a request, responds to it, and sends its head and body to `requests`.
fn respond(mut connection: &TcpStream, requests: &Sender<String>) {
    let mut reader = BufReader::new(connection);
    let (mut head, mut length) = (String::new(), 0);
    // The empty line after the head has two bytes.
    while reader.read_line(&mut head).unwrap() > 2 {
        let line = head.lines().last().unwrap().to_ascii_lowercase();
        if let Some(value) = line.strip_prefix("content-length: ") {
            length = value.parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    connection.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").unwrap();
    let _ = requests.send(head + &String::from_utf8_lossy(&body));
}

/// Ends more spans than the queue takes, while other tasks of the only worker thread make progress.
async fn end_many_spans(tracer: &SdkTracer) {
    let other = tokio::spawn(async {
        for _ in 0..100 {
            yield_now().await;
        }
    });
    for number in 0..3 * MAX_QUEUED {
        drop(OpenSpan::of(tracer, "POST /v1/chat/completions", SpanKind::Server, None));
        if number % 100 == 0 {
            yield_now().await;
        }
    }
    other.await.unwrap();
}

/// Shuts the export down as the executable does, and returns the time it took.
async fn shut_down(exporter: Exporter) -> Duration {
    let start = Instant::now();
    spawn_blocking(move || exporter.shut_down(FLUSH)).await.unwrap();
    start.elapsed()
}

#[test]
fn spans_reach_the_collector_with_their_parent_and_attributes() {
    let (endpoint, requests) = collector(|connection, requests| respond(&connection, requests));
    on_one_worker(async move {
        let (exporter, tracer) = Exporter::with_tracer(&settings(endpoint)).unwrap();
        let parent = TraceParent::parse("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", None).unwrap();
        let mut span = OpenSpan::of(&tracer, "chat m", SpanKind::Client, Some(&parent));
        assert!(span.as_parent().header().starts_with("00-0af7651916cd43dd8448eb211c80319c-"));
        span.set(names::GEN_AI_PROVIDER, "near");
        drop(span);
        shut_down(exporter).await;
        let request = spawn_blocking(move || requests.recv_timeout(TIMEOUT)).await.unwrap().unwrap();
        assert!(request.starts_with("POST /v1/traces HTTP/1.1\r\n"), "{request}");
        for part in ["content-type: application/x-protobuf", "chat m", "gen_ai.provider.name", "near", "triptych"] {
            assert!(request.contains(part), "{part} is not in\n{request}");
        }
    });
}

#[test]
fn dead_collector_delays_neither_calls_nor_the_shutdown() {
    on_one_worker(async {
        // A port on which no process listens.
        let (exporter, tracer) = Exporter::with_tracer(&settings("http://127.0.0.1:1".to_owned())).unwrap();
        end_many_spans(&tracer).await;
        let elapsed = shut_down(exporter).await;
        assert!(elapsed < MAX_SHUTDOWN, "{elapsed:?}");
    });
}

#[test]
fn collector_that_never_answers_delays_neither_calls_nor_the_shutdown() {
    // Keeps the connections open.
    let (endpoint, _requests) = collector(|connection, _| std::mem::forget(connection));
    on_one_worker(async move {
        let (exporter, tracer) = Exporter::with_tracer(&settings(endpoint)).unwrap();
        end_many_spans(&tracer).await;
        let elapsed = shut_down(exporter).await;
        assert!(elapsed < MAX_SHUTDOWN, "{elapsed:?}");
    });
}
