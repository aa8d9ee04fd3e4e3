use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use super::*;
use crate::config;

/// Serves one response to each connection that sends a request, and returns the base URL.
async fn serve(status: &str, body: &str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let response = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let response = response.clone();
            tokio::spawn(async move {
                let mut head = vec![0; 4096];
                if stream.read(&mut head).await.is_ok_and(|length| length > 0) {
                    stream.write_all(response.as_bytes()).await.unwrap();
                }
            });
        }
    });
    base
}

/// Returns the result for a chat upstream with this base URL.
async fn result(base: &str) -> ProbeResult {
    let mut settings = Settings::default();
    settings.chat.connect_timeout = Duration::from_secs(5);
    settings.chat.upstreams = vec![config::Upstream {
        name: "near".to_owned(),
        base_url: Some(base.parse().unwrap()),
        api_key: Some("sk-probe-secret".into()),
        models: vec!["mine".to_owned(), "fast".to_owned()],
        rename: [("fast".to_owned(), "qwen3".to_owned())].into(),
        ..config::Upstream::default()
    }];
    let [probe] = <[Probe; 1]>::try_from(super::probe(&settings).await).unwrap();
    assert_eq!(probe.name, "chat near");
    assert!(!format!("{probe:?}").contains("secret"), "{probe:?}");
    probe.result
}

#[tokio::test]
async fn served_models_are_counted_and_missing_ones_are_named() {
    let base = serve("200 OK", r#"{"data":[{"id":"qwen3"},{"id":"other"}]}"#).await;
    let expected = ProbeResult::Ok("2 models; not among them: `mine`".to_owned());
    assert_eq!(result(&format!("{base}/v1?key=query-secret")).await, expected);
}

#[tokio::test]
async fn each_failure_has_its_cause() {
    let unauthorized = serve("401 Unauthorized", r#"{"error":{"message":"bad key sk-probe-secret"}}"#).await;
    let missing = serve("404 Not Found", "not here").await;
    let page = serve("200 OK", "<html>").await;
    let redirect = serve("301 Moved Permanently", "").await;
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let plain = serve("200 OK", "{}").await.replace("http:", "https:");
    let cases = [
        (format!("{unauthorized}/v1"), "401 Unauthorized: the API key is refused: ".to_owned()),
        (missing.clone(), format!("404 Not Found: the base URL has no path, and most APIs have one: try {missing}/v1")),
        (format!("{missing}/api"), format!("404 Not Found: the base URL has no version: try {missing}/api/v1")),
        (format!("{missing}/v1"), "404 Not Found: check the base URL".to_owned()),
        (format!("{page}/v1"), "the response is not a list of models".to_owned()),
        (redirect, "301 Moved Permanently: redirects are not followed".to_owned()),
        (format!("http://{closed}/v1"), "connection refused".to_owned()),
        (format!("{plain}/v1"), "TLS: ".to_owned()),
        ("http://no-such-host.invalid/v1".to_owned(), "DNS: ".to_owned()),
    ];
    for (base, expected) in cases {
        let result = result(&base).await;
        assert!(matches!(&result, ProbeResult::Failed(text) if text.starts_with(&expected)), "{base}: {result:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn silent_upstream_is_a_timeout() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let result = result(&format!("http://{}/v1", listener.local_addr().unwrap())).await;
    assert!(matches!(&result, ProbeResult::Failed(text) if text.contains("time")), "{result:?}");
}

#[tokio::test]
async fn provider_without_a_free_call_is_connected_to_only() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let mut settings = Settings::default();
    settings.video.minimax.api_key = Some("minimax-secret".into());
    settings.video.minimax.base_url = Some(base.parse().unwrap());
    settings.image.doubao.api_key = Some("ark-secret".into());
    settings.image.doubao.base_url = Some(serve("200 OK", r#"{"items":[]}"#).await.parse().unwrap());
    let probes = super::probe(&settings).await;
    let results: Vec<_> = probes.iter().map(|probe| (probe.name.as_str(), &probe.result)).collect();
    let ok = ProbeResult::Ok("accepts the key".to_owned());
    let not_probed = ProbeResult::NotProbed("the API has no call that is free of charge".to_owned());
    assert_eq!(results, [("image.doubao", &ok), ("video.minimax", &not_probed)]);
    // The connection had no request.
    let (mut stream, _) = listener.accept().await.unwrap();
    assert_eq!(stream.read(&mut [0; 16]).await.unwrap(), 0);
}
