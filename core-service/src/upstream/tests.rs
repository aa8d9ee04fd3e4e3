//! Calls over real sockets, to servers that write each byte themselves.

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::oneshot,
};

use super::*;
use crate::context::RequestContext;

const MINUTE: Duration = Duration::from_mins(1);

fn upstream(listener: &TcpListener) -> Upstream {
    let base = Url::parse(&format!("http://{}/v1", listener.local_addr().unwrap())).unwrap();
    Upstream::new(base, Auth::None, Limits { connect: MINUTE, first_byte: MINUTE, idle: MINUTE }).unwrap()
}

async fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.unwrap()
}

async fn ask(upstream: &Upstream, body: impl Into<Bytes>) -> Result<Reply, ProviderError> {
    upstream.send(Method::POST, "chat", HeaderMap::new(), body.into(), Instant::now() + MINUTE).await
}

/// Asks and reads the whole answer.
async fn answer(upstream: &Upstream) -> Result<(u16, String), ProviderError> {
    let reply = ask(upstream, "{}").await?;
    let status = reply.status.as_u16();
    let body = upstream.body(reply, Instant::now() + MINUTE).await?;
    Ok((status, String::from_utf8(body.to_vec()).unwrap()))
}

/// Reads one request with a short body.
async fn request(stream: &mut TcpStream) -> String {
    let mut all = Vec::new();
    while !all.ends_with(b"{}") {
        assert_ne!(stream.read_buf(&mut all).await.unwrap(), 0, "closed within {}", String::from_utf8_lossy(&all));
    }
    String::from_utf8(all).unwrap()
}

/// The answers to these calls by a server that answers each connection with the next of `scripts`: for each request on it
/// one text, in packets that `|` parts, and then its closing.
async fn answers(scripts: &'static [&'static [&'static str]]) -> Vec<Result<(u16, String), ProviderError>> {
    let listener = listener().await;
    let upstream = upstream(&listener);
    let calls = scripts.iter().map(|script| script.len()).sum::<usize>();
    let serve = async {
        for script in scripts {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.set_nodelay(true).unwrap();
            for text in *script {
                let asked = request(&mut stream).await;
                assert!(asked.starts_with("POST /v1/chat HTTP/1.1\r\n"), "{asked}");
                for packet in text.split('|') {
                    stream.write_all(packet.as_bytes()).await.unwrap();
                    tokio::task::yield_now().await;
                }
            }
        }
    };
    let ask = async {
        let mut answers = Vec::new();
        for _ in 0..calls {
            answers.push(answer(&upstream).await);
        }
        answers
    };
    tokio::join!(serve, ask).1
}

/// Answers of these texts.
fn said(texts: &[&str]) -> Vec<Result<(u16, String), ProviderError>> {
    texts.iter().map(|&text| Ok((200, text.to_owned()))).collect()
}

fn broken() -> ProviderError {
    ProviderError::Broken(Broken.to_string())
}

#[tokio::test]
async fn a_connection_serves_the_next_call_when_its_answer_has_ended_whatever_its_form() {
    let all = answers(&[&[
        "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\none",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\ntwo\r\n0\r\n\r\n",
        "HTTP/1.1 100 Continue\r\n\r\n|HTTP/1.1 20|0 OK\r\ntransfer-encoding: chun|ked\r\n\r\n2|\r\nth|\r\n3;x=y\r\n|ree\r|\n0\r\nx: y\r\n\r|\n",
        "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nfour| and the rest",
    ]])
    .await;
    assert_eq!(all, said(&["one", "two", "three", "four and the rest"]));
}

#[tokio::test]
async fn a_connection_whose_end_is_not_sure_serves_no_other_call() {
    let scripts: &[&[&str]] = &[
        &["HTTP/1.1 200 OK\r\ncontent-length: 3\r\nconnection: close\r\n\r\none"],
        &["HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\ntwoHTTP/1.1 200 OK\r\n\r\nnever asked for"],
        &["HTTP/1.0 200 OK\r\ncontent-length: 5\r\n\r\nthree"],
        &["HTTP/1.1 200 OK\r\n\r\nfour"],
    ];
    assert_eq!(answers(scripts).await, said(&["one", "two", "three", "four"]));
}

#[tokio::test]
async fn an_answer_that_breaks_off_or_makes_no_sense_is_a_failure() {
    let scripts: &[&[&str]] = &[
        &[""],
        &["HTTP/1.1 200 OK\r\nconte"],
        &["HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf"],
        &["HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n"],
        &["HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalfnonsense"],
        &["220 mail.example ESMTP\r\n\r\n"],
    ];
    assert_eq!(answers(scripts).await, vec![Err(broken()); scripts.len()]);
}

#[tokio::test]
async fn what_came_before_an_answer_broke_off_is_read_first() {
    let listener = listener().await;
    let upstream = upstream(&listener);
    let serve = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        request(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\nnonsense").await.unwrap();
    };
    let ((), reply) = tokio::join!(serve, ask(&upstream, "{}"));
    let mut reply = reply.unwrap();
    assert_eq!(reply.chunk().await.unwrap().unwrap(), "half");
    for _ in 0..2 {
        assert!(reply.chunk().await.is_err());
    }
}

#[tokio::test]
async fn an_endless_head_is_given_up_on() {
    let listener = listener().await;
    let upstream = upstream(&listener);
    let serve = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        request(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\nx: ").await.unwrap();
        while stream.write_all(&[b'x'; 4096]).await.is_ok() {}
    };
    let ((), reply) = tokio::join!(serve, ask(&upstream, "{}"));
    assert_eq!(reply.err(), Some(broken()));
}

/// What a JSON call to this upstream fails with.
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
async fn a_refusal_whose_words_never_come_is_told_by_its_status() {
    let listener = listener().await;
    let upstream = upstream(&listener);
    let serve = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        request(&mut stream).await;
        stream.write_all(b"HTTP/1.1 429 .\r\nretry-after: 7\r\ncontent-length: 99\r\n\r\n{").await.unwrap();
        // From here on time passes as soon as everybody waits.
        tokio::time::pause();
        stream
    };
    let begun = Instant::now();
    let (_stream, failure) = tokio::join!(serve, failure(&upstream));
    assert!(matches!(failure, ProviderError::RateLimited { .. }), "{failure:?}");
    assert_eq!(failure.retry_after(), Some(Duration::from_secs(7)));
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn long_words_are_cut_after_the_key_was_taken_out_of_them() {
    let listener = listener().await;
    let key = "key-".repeat(8);
    let mut upstream = upstream(&listener);
    let host = Arc::get_mut(&mut upstream.host).unwrap();
    host.key = Some(SecretString::from(key.clone()));
    let serve = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        request(&mut stream).await;
        let words = format!("{}{key}{}", "图".repeat(MAX_MESSAGE / 3 - 2), "图".repeat(9000));
        let head = format!("HTTP/1.1 400 .\r\ncontent-length: {}\r\n\r\n", words.len());
        stream.write_all([head, words].concat().as_bytes()).await.unwrap();
        stream
    };
    let (_stream, failure) = tokio::join!(serve, failure(&upstream));
    let words = failure.to_string();
    assert!(words.ends_with("图***图...") && words.len() <= MAX_MESSAGE + 3, "{} {words}", words.len());
}

#[tokio::test]
async fn a_refusal_that_comes_while_the_request_is_still_sent_is_heard() {
    let listener = listener().await;
    let upstream = upstream(&listener);
    let (heard, wait) = oneshot::channel::<()>();
    let long = vec![b'x'; 32 << 20];
    let length = long.len();
    let serve = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.read_exact(&mut [0; 16]).await.unwrap();
        stream.write_all(b"HTTP/1.1 413 Too Large\r\ncontent-length: 4\r\n\r\nmuch").await.unwrap();
        wait.await.unwrap();
        // The rest was not sent for nobody to read.
        let mut rest = Vec::new();
        let read = stream.read_to_end(&mut rest).await;
        assert!(read.is_err() || rest.len() < length);
    };
    let ask = async {
        let reply = ask(&upstream, long).await.unwrap();
        assert_eq!(reply.status, 413);
        assert_eq!(upstream.body(reply, Instant::now() + MINUTE).await.unwrap(), "much");
        heard.send(()).unwrap();
    };
    tokio::join!(serve, ask);
}

/// What a call on a new connection is answered, and the connection, which is left open.
async fn answered(
    listener: &TcpListener,
    upstream: &Upstream,
    text: &str,
) -> Result<(TcpStream, String), ProviderError> {
    let serve = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        request(&mut stream).await;
        stream.write_all(text.as_bytes()).await.unwrap();
        Ok(stream)
    };
    let (stream, (_, text)) = tokio::try_join!(serve, answer(upstream))?;
    Ok((stream, text))
}

#[tokio::test]
async fn a_kept_connection_that_was_closed_meanwhile_is_not_used_though_the_runtime_has_not_heard() {
    let listener = listener().await;
    let upstream = upstream(&listener);
    let (stream, one) =
        answered(&listener, &upstream, "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\none").await.unwrap();
    assert_eq!(one, "one");
    // Both sides are on this thread, so its runtime learns of nothing between the closing and the next call.
    drop(stream);
    let (_, two) = answered(&listener, &upstream, "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\ntwo").await.unwrap();
    assert_eq!(two, "two");
}

#[tokio::test]
async fn a_connection_is_given_up_before_the_other_side_does_as_far_as_it_says() {
    let listener = listener().await;
    let upstream = upstream(&listener);
    for (said, kept) in [
        ("x: y", Some(4)),
        ("keep-alive: timeout=15", Some(14)),
        ("keep-alive: timeout=1", None),
        ("keep-alive: timeout=18446744073709551615", Some(55)),
    ] {
        let text = format!("HTTP/1.1 200 OK\r\n{said}\r\ncontent-length: 2\r\n\r\n{{}}");
        let _stream = answered(&listener, &upstream, &text).await.unwrap();
        let connection = upstream.host.pool.take();
        assert_eq!(connection.map(|connection| connection.patience.as_secs()), kept, "{said}");
    }
}
