//! Requests over TCP to servers that are scripted byte by byte.

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::oneshot,
    time,
};

use super::{super::pool::PROBATION, *};
use crate::context::{RequestContext, TraceContext};

const MINUTE: Duration = Duration::from_mins(1);

fn upstream(listener: &TcpListener) -> Upstream {
    let base = Url::parse(&format!("http://{}/v1", listener.local_addr().unwrap())).unwrap();
    Upstream::new(base, Auth::None, Timeouts { connect: MINUTE, first_byte: MINUTE, idle: MINUTE }).unwrap()
}

async fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.unwrap()
}

async fn send(upstream: &Upstream, body: impl Into<Bytes>) -> Result<UpstreamResponse, ProviderError> {
    upstream.send(Method::POST, "chat", HeaderMap::new(), body.into(), Instant::now() + MINUTE).await
}

/// Sends a request; returns status and body of the response.
async fn send_and_read(upstream: &Upstream) -> Result<(u16, String), ProviderError> {
    let reply = send(upstream, "{}").await?;
    let status = reply.status.as_u16();
    let body = upstream.body(reply, Instant::now() + MINUTE).await?;
    Ok((status, String::from_utf8(body.to_vec()).unwrap()))
}

/// Reads one request whose body is `{}`.
async fn read_request(stream: &mut TcpStream) -> String {
    let mut all = Vec::new();
    while !all.ends_with(b"{}") {
        assert_ne!(stream.read_buf(&mut all).await.unwrap(), 0, "closed after {}", String::from_utf8_lossy(&all));
    }
    String::from_utf8(all).unwrap()
}

#[test]
fn query_of_the_base_url_follows_every_path() {
    for (base, path, target) in [
        ("http://a.example/v1?api-version=1", "chat", "/v1/chat?api-version=1"),
        ("http://a.example/v1/?a=b%20c&d", "chat", "/v1/chat?a=b%20c&d"),
        ("http://a.example?a=b", "chat", "/chat?a=b"),
        ("http://a.example/v1?a=b", "x?alt=sse", "/v1/x?alt=sse&a=b"),
        ("http://a.example/v1?", "chat", "/v1/chat"),
        ("http://a.example/v1", "x?alt=sse", "/v1/x?alt=sse"),
    ] {
        let timeouts = Timeouts { connect: MINUTE, first_byte: MINUTE, idle: MINUTE };
        let upstream = Upstream::new(Url::parse(base).unwrap(), Auth::None, timeouts).unwrap();
        assert_eq!(upstream.host.target(path), target, "{base}");
        assert!(!format!("{upstream:?}").contains('?'));
    }
}

/// Serves one connection per script: one response text per request, in packets separated by `|`, then closes. Returns the
/// results of as many calls.
async fn results(scripts: &'static [&'static [&'static str]]) -> Vec<Result<(u16, String), ProviderError>> {
    let listener = listener().await;
    let upstream = upstream(&listener);
    let calls = scripts.iter().map(|script| script.len()).sum::<usize>();
    let serve = async {
        for script in scripts {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.set_nodelay(true).unwrap();
            for text in *script {
                let request = read_request(&mut stream).await;
                assert!(request.starts_with("POST /v1/chat HTTP/1.1\r\n"), "{request}");
                for packet in text.split('|') {
                    stream.write_all(packet.as_bytes()).await.unwrap();
                    tokio::task::yield_now().await;
                }
            }
        }
    };
    let call = async {
        let mut results = Vec::new();
        for _ in 0..calls {
            results.push(send_and_read(&upstream).await);
            end_of_probation().await;
        }
        results
    };
    tokio::join!(serve, call).1
}

/// Moves the clock to the time when a connection in the pool can be reused.
async fn end_of_probation() {
    time::pause();
    time::advance(PROBATION).await;
    time::resume();
}

/// Successful results with these bodies.
fn bodies(texts: &[&str]) -> Vec<Result<(u16, String), ProviderError>> {
    texts.iter().map(|&text| Ok((200, text.to_owned()))).collect()
}

fn lost() -> ProviderError {
    ProviderError::Broken(ConnectionLost.to_string())
}

#[tokio::test]
async fn connection_is_reused_after_every_form_of_a_complete_response() {
    let all = results(&[&[
        "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\none",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\ntwo\r\n0\r\n\r\n",
        "HTTP/1.1 100 Continue\r\n\r\n|HTTP/1.1 20|0 OK\r\ntransfer-encoding: chun|ked\r\n\r\n2|\r\nth|\r\n3;x=y\r\n|ree\r|\n0\r\nx: y\r\n\r|\n",
        "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nfour| and the rest",
    ]])
    .await;
    assert_eq!(all, bodies(&["one", "two", "three", "four and the rest"]));
}

#[tokio::test]
async fn connection_is_not_reused_if_the_end_of_the_response_is_uncertain() {
    let scripts: &[&[&str]] = &[
        &["HTTP/1.1 200 OK\r\ncontent-length: 3\r\nconnection: close\r\n\r\none"],
        &["HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\ntwoHTTP/1.1 200 OK\r\n\r\nnever asked for"],
        &["HTTP/1.0 200 OK\r\ncontent-length: 5\r\n\r\nthree"],
        &["HTTP/1.1 200 OK\r\n\r\nfour"],
    ];
    assert_eq!(results(scripts).await, bodies(&["one", "two", "three", "four"]));
}

#[tokio::test]
async fn truncated_or_malformed_response_fails() {
    let scripts: &[&[&str]] = &[
        &[""],
        &["HTTP/1.1 200 OK\r\nconte"],
        &["HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf"],
        &["HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n"],
        &["HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalfnonsense"],
        &["220 mail.example ESMTP\r\n\r\n"],
    ];
    assert_eq!(results(scripts).await, vec![Err(lost()); scripts.len()]);
}

#[tokio::test]
async fn data_before_a_protocol_error_is_read_first() {
    let listener = listener().await;
    let upstream = upstream(&listener);
    let serve = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        read_request(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\nnonsense").await.unwrap();
    };
    let ((), reply) = tokio::join!(serve, send(&upstream, "{}"));
    let mut reply = reply.unwrap();
    assert_eq!(reply.chunk().await.unwrap().unwrap(), "half");
    for _ in 0..2 {
        assert!(reply.chunk().await.is_err());
    }
}

#[tokio::test]
async fn endless_response_head_fails() {
    let listener = listener().await;
    let upstream = upstream(&listener);
    let serve = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        read_request(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\nx: ").await.unwrap();
        while stream.write_all(&[b'x'; 4096]).await.is_ok() {}
    };
    let ((), reply) = tokio::join!(serve, send(&upstream, "{}"));
    assert_eq!(reply.err(), Some(lost()));
}

/// Returns the failure of a JSON call.
async fn failure(upstream: &Upstream) -> ProviderError {
    let call = Call {
        model: "m".to_owned(),
        request: (),
        context: RequestContext { request_id: "req_1".to_owned(), ..RequestContext::default() },
    };
    let reply = upstream.post_json("chat", &call, b"{}".to_vec(), Instant::now() + MINUTE).await;
    reply.err().unwrap()
}

#[tokio::test]
async fn error_body_that_does_not_arrive_leaves_the_status_to_classify() {
    let listener = listener().await;
    let upstream = upstream(&listener);
    let serve = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        read_request(&mut stream).await;
        stream.write_all(b"HTTP/1.1 429 .\r\nretry-after: 7\r\ncontent-length: 99\r\n\r\n{").await.unwrap();
        // From here on the clock advances whenever all tasks wait.
        tokio::time::pause();
        stream
    };
    let started = Instant::now();
    let (_stream, failure) = tokio::join!(serve, failure(&upstream));
    assert!(matches!(failure, ProviderError::RateLimited { .. }), "{failure:?}");
    assert_eq!(failure.retry_after(), Some(Duration::from_secs(7)));
    assert!(started.elapsed() < Duration::from_secs(4), "{:?}", started.elapsed());
}

#[tokio::test]
async fn key_is_removed_from_a_message_before_it_is_truncated() {
    let listener = listener().await;
    let key = "key-".repeat(8);
    let mut upstream = upstream(&listener);
    let host = Arc::get_mut(&mut upstream.host).unwrap();
    host.key = Some(SecretString::from(key.clone()));
    let serve = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        read_request(&mut stream).await;
        let message = format!("{}{key}{}", "图".repeat(MAX_MESSAGE / 3 - 2), "图".repeat(9000));
        let head = format!("HTTP/1.1 400 .\r\ncontent-length: {}\r\n\r\n", message.len());
        stream.write_all([head, message].concat().as_bytes()).await.unwrap();
        stream
    };
    let (_stream, failure) = tokio::join!(serve, failure(&upstream));
    let message = failure.to_string();
    assert!(message.ends_with("图***图...") && message.len() <= MAX_MESSAGE + 3, "{} {message}", message.len());
}

#[tokio::test]
async fn response_that_arrives_while_the_request_is_being_sent_is_read() {
    let listener = listener().await;
    let upstream = upstream(&listener);
    let (done, wait) = oneshot::channel::<()>();
    let long = vec![b'x'; 32 << 20];
    let length = long.len();
    let serve = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.read_exact(&mut [0; 16]).await.unwrap();
        stream.write_all(b"HTTP/1.1 413 Too Large\r\ncontent-length: 4\r\n\r\nmuch").await.unwrap();
        wait.await.unwrap();
        // The rest of the request was not sent.
        let mut rest = Vec::new();
        let read = stream.read_to_end(&mut rest).await;
        assert!(read.is_err() || rest.len() < length);
    };
    let call = async {
        let reply = send(&upstream, long).await.unwrap();
        assert_eq!(reply.status, 413);
        assert_eq!(upstream.body(reply, Instant::now() + MINUTE).await.unwrap(), "much");
        done.send(()).unwrap();
    };
    tokio::join!(serve, call);
}

/// Serves one call on a new connection with this response; returns the server's side, still open, and the body.
async fn call_on_new_connection(
    listener: &TcpListener,
    upstream: &Upstream,
    text: &str,
) -> Result<(TcpStream, String), ProviderError> {
    let serve = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        read_request(&mut stream).await;
        stream.write_all(text.as_bytes()).await.unwrap();
        Ok(stream)
    };
    let (stream, (_, text)) = tokio::try_join!(serve, send_and_read(upstream))?;
    Ok((stream, text))
}

#[tokio::test]
async fn pooled_connection_closed_unnoticed_by_the_runtime_is_not_used() {
    let listener = listener().await;
    let upstream = upstream(&listener);
    let (stream, one) =
        call_on_new_connection(&listener, &upstream, "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\none").await.unwrap();
    assert_eq!(one, "one");
    // Both sides run on this thread, so its runtime does not poll the socket between the close and the next call.
    drop(stream);
    let (_, two) =
        call_on_new_connection(&listener, &upstream, "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\ntwo").await.unwrap();
    assert_eq!(two, "two");
}

const CHUNKED: &str = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n";

#[tokio::test]
async fn connection_is_reused_after_chunks_only_once_the_upstream_has_kept_one_open() {
    let listener = listener().await;
    let upstream = upstream(&listener);
    let (mut first, _) = call_on_new_connection(&listener, &upstream, CHUNKED).await.unwrap();
    // The upstream may be about to close the first connection.
    let (second, _) = call_on_new_connection(&listener, &upstream, CHUNKED).await.unwrap();
    end_of_probation().await;
    drop(second);
    for _ in 0..2 {
        let serve = async {
            read_request(&mut first).await;
            first.write_all(CHUNKED.as_bytes()).await.unwrap();
        };
        let (result, ()) = tokio::join!(send_and_read(&upstream), serve);
        assert_eq!(result, Ok((200, "{}".to_owned())));
    }
}

#[tokio::test]
async fn connection_broken_at_its_reuse_starts_the_probation_of_others_again() {
    let listener = listener().await;
    let upstream = upstream(&listener);
    let with_length = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";
    let (mut first, _) = call_on_new_connection(&listener, &upstream, with_length).await.unwrap();
    let close = async {
        read_request(&mut first).await;
        drop(first);
    };
    assert_eq!(tokio::join!(send_and_read(&upstream), close).0, Err(lost()));
    // Neither call reuses the connection of the one before it, which is on probation.
    let _second = call_on_new_connection(&listener, &upstream, with_length).await.unwrap();
    let _third = call_on_new_connection(&listener, &upstream, with_length).await.unwrap();
}

#[tokio::test]
async fn keep_alive_header_sets_the_idle_timeout() {
    let listener = listener().await;
    let upstream = upstream(&listener);
    // In seconds: the default without TLS; a second less than announced; at most the default with TLS.
    for (header, kept) in [
        ("x: y", Some(4)),
        ("keep-alive: timeout=15", Some(14)),
        ("keep-alive: timeout=1", None),
        ("keep-alive: timeout=18446744073709551615", Some(55)),
    ] {
        let text = format!("HTTP/1.1 200 OK\r\n{header}\r\ncontent-length: 2\r\n\r\n{{}}");
        let _stream = call_on_new_connection(&listener, &upstream, &text).await.unwrap();
        let connection = upstream.host.pool.take();
        assert_eq!(connection.map(|connection| connection.idle_timeout.as_secs()), kept, "{header}");
    }
}

#[tokio::test]
async fn post_sends_request_id_idempotency_key_and_trace_context() {
    let listener = listener().await;
    let upstream = upstream(&listener);
    let trace = TraceContext {
        parent: Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".parse().unwrap()),
        state: Some("a=1".parse().unwrap()),
    };
    let context = RequestContext {
        request_id: "req_1".to_owned(),
        idempotency_key: "key-1".to_owned(),
        trace,
        ..RequestContext::default()
    };
    let call = Call { model: "m".to_owned(), request: (), context };
    let serve = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let request = read_request(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.unwrap();
        request
    };
    let post = upstream.post_json("chat", &call, b"{}".to_vec(), Instant::now() + MINUTE);
    let (request, reply) = tokio::join!(serve, post);
    assert!(reply.is_ok());
    for header in [
        "x-request-id: req_1",
        "idempotency-key: key-1",
        "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "tracestate: a=1",
    ] {
        assert!(request.contains(&format!("\r\n{header}\r\n")), "{header} is missing in {request}");
    }
}
